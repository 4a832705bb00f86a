"""Reads ``cdn.yaml``, the file with one machine's credentials.

Error messages name settings and lines but never values, because they end up in logs and tickets. PyYAML's own messages
quote the file, so they are replaced. Nor does the exception lead to one: the public functions raise it anew, because
exception trackers record the whole chain and the local variables of every frame.
"""

import difflib
import logging
import os
import re
import stat

import yaml
from yaml.reader import ReaderError

from cdn_manager import CDNCredentials, CDNError

__all__ = ["ConfigError", "load_credentials", "parse_credentials"]

_NAMES = (
    "host",
    "downloader_access_key",
    "downloader_access_secret",
    "uploader_access_key",
    "uploader_access_secret",
    "region",
)

_SIZE_LIMIT = 64 << 10  # bytes; a real file has a few hundred

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

_log = logging.getLogger("cdn_manager")


class ConfigError(CDNError, ValueError):
    """The credentials file is invalid. The message names lines and settings, never values."""


def load_credentials(path: str | os.PathLike[str]) -> CDNCredentials:
    """Read credentials from a file. Log a warning if other users of this machine can read it too.

    Args:
        path: The YAML file.

    Returns:
        The credentials, ready for ``CDNManager``.

    Raises:
        ConfigError: The file is invalid; the message starts with ``path`` and lists every problem.
        OSError: The file cannot be read.

    Thread-safety: safe.
    """
    with open(path, "rb") as file:
        _warn_if_others_can_read(path, os.fstat(file.fileno()).st_mode)
        content = file.read(_SIZE_LIMIT + 1)
    try:
        return _parse(_decode(content))
    except ConfigError as error:
        problem = f"{path}: {error}"
    del content
    raise ConfigError(problem)


def parse_credentials(text: str) -> CDNCredentials:
    """Read credentials from text.

    Args:
        text: YAML with ``host``, one or both key pairs, and optionally ``region``.

    Returns:
        The credentials, ready for ``CDNManager``.

    Raises:
        ConfigError: The text is invalid; the message lists every problem.

    Thread-safety: safe.
    """
    try:
        return _parse(text)
    except ConfigError as error:
        problem = str(error)
    del text
    raise ConfigError(problem)


def _parse(text: str) -> CDNCredentials:
    root = _compose(text)
    if root is None:
        raise ConfigError("empty: a host and a key pair are required")
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{_line(root)}: no 'name: value' lines (the colon must be followed by a space)")
    values, lines, problems = _settings(root)
    problems += _missing(lines)
    if problems:
        raise ConfigError("; ".join(problems))
    try:
        return CDNCredentials(**values)
    except ValueError as error:  # only the host is left to object to
        raise ConfigError(f"line {lines['host']}: {error}") from None


def _warn_if_others_can_read(path: str | os.PathLike[str], mode: int) -> None:
    if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        _log.warning("%s contains secrets, and other users of this machine can read it: chmod 600 %s", path, path)


def _decode(content: bytes) -> str:
    if len(content) > _SIZE_LIMIT:
        raise ConfigError(f"larger than {_SIZE_LIMIT >> 10} KiB, so not a credentials file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: not UTF-8: save the file in that encoding") from None


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
        if name not in _NAMES:
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
    swapped = isinstance(value_node, yaml.ScalarNode) and value_node.value in _NAMES
    if _SAFE_TO_REPEAT.fullmatch(name) and not swapped:
        normalized = re.sub("[ -]", "_", name.lower())
        for nearest in difflib.get_close_matches(normalized, _NAMES, 1, _SIMILARITY_CUTOFF):
            return f"unknown name {name!r} (did you mean {nearest!r}?)"
    return f"unknown name; the known names are {', '.join(_NAMES)}"


def _objection(name: str, node: yaml.Node) -> str:
    """Return what is wrong with a value, empty if nothing is."""
    if not isinstance(node, yaml.ScalarNode):
        return f"{name} must be a single value, not a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'}"
    kind = node.tag.rpartition(":")[2]
    if not node.value or kind == "null":
        return f"{name} is empty: give it a value, or remove the line"
    if kind != "str":
        return f"{name} must be text, but YAML reads this as {_TYPES.get(kind, 'something else')}: put it in quotes"
    if not node.value.isascii():
        return f"{name} contains a character that is not ASCII, such as a curly quote"
    if not node.value.isprintable() or " " in node.value:
        return f"{name} contains a space, a line break or a control character"
    return ""


def _missing(lines: dict[str, int]) -> list[str]:
    """Return what is missing, given the line numbers of the names that are present."""
    problems = [] if "host" in lines else ["host is missing"]
    roles = ("downloader", "uploader")
    for role in roles:
        pair = [f"{role}_access_key", f"{role}_access_secret"]
        present = [name for name in pair if name in lines]
        if len(present) == 1:
            (absent,) = set(pair) - set(present)
            problems.append(f"{absent} is missing: {present[0]} on line {lines[present[0]]} needs it")
    if not any(name.startswith(roles) for name in lines):
        problems.append(
            "no key pair: downloader_access_key and downloader_access_secret are needed to download, "
            "uploader_access_key and uploader_access_secret to upload"
        )
    return problems
