"""Reads the text of a ``cdn.yaml``. Private."""

import difflib
import re

import yaml
from yaml.reader import ReaderError

from cdn_config.error import ConfigError
from cdn_config.values import LIMITS, NAMES, missing, objection_to

__all__ = ["read_document"]

# An unknown name is repeated only if it closely resembles a known one; otherwise it may be a secret with a misplaced
# colon. The cutoff is just low enough for "hsot" to match "host".
_SAFE_TO_REPEAT = re.compile(r"[A-Za-z_ -]{1,40}")
_SIMILARITY_CUTOFF = 0.75

# How PyYAML's descriptions of a problem start, and what we say instead.
_SYNTAX_ERRORS = (
    ("found character '\\t'", "a tab: use spaces"),
    ("found character", "a value that starts with '@', '`' or '%' must be quoted"),
    ("mapping values are not allowed", "a misplaced colon: quote any value that contains ': ', do not indent names, and"
     " put a space after each name's colon"),
    ("could not find expected ':'", "not a 'name: value' line (the colon must be followed by a space)"),
    ("found unexpected end of stream", "an unclosed quote"),
    ("found unknown escape character", "a backslash in double quotes: use single quotes"),
    ("but found another document", "a second document: '---' is only allowed as the first line"),
    ("expected ',' or", "an unclosed bracket or brace"),
    ("expected chomping or indentation", "a value that starts with '|' or '>' must be quoted"),
    ("expected <block end>, but found '<scalar>'", "text after a quoted value"),
    ("expected '<document start>'", "indented differently from the line before"),
)  # fmt: skip

_TYPES = {"int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date"}


def read_document(text: str) -> tuple[dict[str, str], dict[str, int]]:
    """Return the values and the line numbers by name.

    Raises:
        ConfigError: The text is invalid; the message lists every problem.
    """
    root = _compose(text)
    if root is None:
        raise ConfigError("empty: a host and a key pair are required")
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{_line(root)}: no 'name: value' lines (the colon must be followed by a space)")
    values, lines, problems = _settings(root)

    def placed(name: str) -> str:
        return f"{name} on line {lines[name]}"

    problems += missing(lines, values.get("anonymous", "false") != "false", str, placed)
    if problems:
        raise ConfigError("; ".join(problems))
    return values, lines


def _compose(text: str) -> yaml.Node | None:
    """Return the root node, None if there is none."""
    try:
        for token in yaml.scan(text, yaml.SafeLoader):
            # YAML would silently read "&s3" as an anchor, and drop the start of a secret.
            if isinstance(token, (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)):
                problem = f"{_line(token)}: a value that starts with '&', '*' or '!' must be quoted"
                break
        else:
            return yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(error)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"line {line}: a control character"
    except RecursionError:
        problem = "not YAML: nested too deeply"
    except (OverflowError, ValueError):
        problem = "a backslash in double quotes that is not a valid escape: use single quotes"
    raise ConfigError(problem)


def _syntax_problem(error: yaml.MarkedYAMLError) -> str:
    found = error.problem or ""
    meaning = next((ours for theirs, ours in _SYNTAX_ERRORS if found.startswith(theirs)), "not YAML")
    # Something unclosed is only noticed at its end; the line where it starts is the one to look at.
    unclosed = (error.context or "").startswith("while scanning a")
    mark = error.context_mark if unclosed else error.problem_mark
    return meaning if mark is None else f"line {mark.line + 1}: {meaning}"


def _line(place: yaml.Node | yaml.Token) -> str:
    return f"line {place.start_mark.line + 1}"


def _settings(root: yaml.MappingNode) -> tuple[dict[str, str], dict[str, int], list[str]]:
    """Return the values by name, the line numbers by name, and what is wrong with them."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
    for name_node, value_node in root.value:
        name = name_node.value if isinstance(name_node, yaml.ScalarNode) else ""
        if name not in NAMES:
            problem = _unknown_name(name, value_node)
        elif name in lines:
            problem = f"{name} is already set on line {lines[name]}"
        else:
            lines[name] = name_node.start_mark.line + 1
            values[name] = value_node.value
            problem = _objection(name, value_node)
        if problem:
            problems.append(f"{_line(name_node)}: {problem}")
    return values, lines, problems


def _unknown_name(name: str, value_node: yaml.Node) -> str:
    swapped = isinstance(value_node, yaml.ScalarNode) and value_node.value in NAMES
    if _SAFE_TO_REPEAT.fullmatch(name) and not swapped:
        normalized = re.sub("[ -]", "_", name.lower())
        for nearest in difflib.get_close_matches(normalized, NAMES, 1, _SIMILARITY_CUTOFF):
            return f"unknown name {name!r} (did you mean {nearest!r}?)"
    return f"unknown name; the known names are {', '.join(NAMES)}"


def _objection(name: str, node: yaml.Node) -> str:
    """Return what is wrong with a value, empty if nothing is."""
    if not isinstance(node, yaml.ScalarNode):
        return f"{name} must be a single value, not a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'}"
    kind = node.tag.rpartition(":")[2]
    if not node.value or kind == "null":
        return f"{name} is empty: give it a value, or remove the line"
    # Of a number or a boolean, what is written counts, and not what YAML makes of it: it reads 1:30 as 90.
    if kind != "str" and name not in LIMITS and name != "anonymous":
        return f"{name} must be text, but YAML reads this as {_TYPES.get(kind, 'something else')}: put it in quotes"
    problem = objection_to(name, node.value)
    return problem and f"{name} {problem}"
