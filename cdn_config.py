"""Reads ``cdn.yaml``, which holds the credentials of one machine.

A message names keys and lines, never a value: it may go to a log or a ticket. That is why PyYAML's own words, which
quote the source, are not passed on either.
"""

import difflib
import logging
import os
import re
import stat

import yaml
from yaml.reader import ReaderError

from cdn_errors import CDNError
from cdn_manager import CDNCredentials

__all__ = ["ConfigError", "load_credentials", "parse_credentials"]

_NAMES = (
    "host",
    "downloader_access_key",
    "downloader_access_secret",
    "uploader_access_key",
    "uploader_access_secret",
    "region",
)

_SIZE_LIMIT = 64 << 10  # bytes; a real one has a few hundred

# The names that may be repeated in a message: what is nearly a known one. Something else in a name's place may be a
# secret with its colon astray. Two letters exchanged in "host" are as far from it as this.
_TELLABLE = re.compile(r"[A-Za-z_ -]{1,40}")
_NEAR = 0.75

# How PyYAML's descriptions of a problem begin, and what they mean here.
_SYNTAX = (
    ("found character '\\t'", "a tab where YAML wants spaces"),
    ("found character", "a value that begins with '@', '`' or '%' needs quotes"),
    ("mapping values are not allowed", "a colon out of place: quote a value that holds ': ', indent no name, and put a"
     " space behind the colon of each"),
    ("could not find expected ':'", "no 'name: value', which needs a colon and a space"),
    ("found unexpected end of stream", "a quote that is not closed"),
    ("found unknown escape character", "a backslash within double quotes: use single quotes"),
    ("but found another document", "a second document: '---' is only allowed as the first line"),
    ("expected ',' or", "a bracket or brace that is not closed"),
    ("expected chomping or indentation", "a value that begins with '|' or '>' needs quotes"),
    ("expected <block end>, but found '<scalar>'", "something behind a quoted value"),
    ("expected '<document start>'", "another indentation than in the line before"),
)  # fmt: skip

_KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date", "null": "nothing"}

_log = logging.getLogger("cdn_manager")


class ConfigError(CDNError, ValueError):
    """The configuration file is not one. The message tells keys and lines, and no values."""


def load_credentials(path):
    """Read the credentials in a file, and warn in the log if other users of this machine can read it as well.

    Args:
        path: The file's name.

    Returns:
        A ``cdn_manager.CDNCredentials``.

    Raises:
        ConfigError: The file does not hold credentials; the message begins with ``path``.
        OSError: The file cannot be read.

    Thread-safety: safe.
    """
    with open(path, "rb") as file:
        _warn_of_other_readers(path, os.fstat(file.fileno()).st_mode)
        content = file.read(_SIZE_LIMIT + 1)
    if len(content) > _SIZE_LIMIT:
        raise ConfigError(f"{path}: larger than {_SIZE_LIMIT >> 10} KiB: this is something else")
    try:
        return parse_credentials(_decode(content))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_credentials(text):
    """Read the credentials in a text.

    Args:
        text: YAML with ``host``, one or both of the key pairs, and perhaps ``region``.

    Returns:
        A ``cdn_manager.CDNCredentials``.

    Raises:
        ConfigError: The text does not hold credentials. All that is wrong is told at once.

    Thread-safety: safe.
    """
    root = _compose(text)
    if root is None:
        raise ConfigError("empty: host and a key pair are needed")
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{_line(root)}: no 'name: value' lines, which need a colon and a space")
    values, lines, problems = _settings(root)
    problems += _missing(lines)
    if problems:
        raise ConfigError("; ".join(problems))
    try:
        return CDNCredentials(**values)
    except ValueError as error:
        raise ConfigError(f"line {lines['host']}: {error}") from None


def _warn_of_other_readers(path, mode):
    if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        _log.warning("%s holds secrets, and other users of this machine can read it: chmod 600 %s", path, path)


def _decode(content):
    problem = None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"line {line}: this is not UTF-8: save the file in that encoding"
    raise ConfigError(problem)


def _compose(text):
    """Return the root node. The exception carries none of PyYAML's, not even as its context."""
    try:
        for token in yaml.scan(text, yaml.SafeLoader):
            # '&' would swallow the beginning of a secret in silence.
            if isinstance(token, (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)):
                problem = f"{_line(token)}: a value that begins with '&', '*' or '!' needs quotes"
                break
        else:
            return yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        unclosed = (error.context or "").startswith("while scanning a")
        mark = error.context_mark if unclosed else error.problem_mark
        problem = f"line {mark.line + 1}: {_meaning(error.problem)}"
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"line {line}: a control character"
    except (OverflowError, ValueError):
        problem = "a backslash within double quotes that names no character: use single quotes"
    except RecursionError:
        problem = "this is not YAML: hundreds of brackets"
    raise ConfigError(problem)


def _meaning(problem):
    return next((ours for theirs, ours in _SYNTAX if problem.startswith(theirs)), "this is not YAML")


def _line(node):
    return f"line {node.start_mark.line + 1}"


def _settings(root):
    """Return the values by name, the lines by name, and what is wrong with them."""
    values, lines, problems = {}, {}, []
    for name_node, value_node in root.value:
        name = name_node.value if isinstance(name_node, yaml.ScalarNode) else ""
        if name not in _NAMES:
            problem = _unknown(name, value_node)
        elif name in lines:
            problem = f"{name} is there again: it is in line {lines[name]} already"
        else:
            lines[name] = name_node.start_mark.line + 1
            values[name] = value_node.value
            problem = _objection(name, value_node)
        if problem is not None:
            problems.append(f"{_line(name_node)}: {problem}")
    return values, lines, problems


def _unknown(name, value_node):
    exchanged = isinstance(value_node, yaml.ScalarNode) and value_node.value in _NAMES
    if _TELLABLE.fullmatch(name) and not exchanged:
        for nearest in difflib.get_close_matches(re.sub("[ -]", "_", name.lower()), _NAMES, 1, _NEAR):
            return f"unknown name {name!r}: did you mean {nearest!r}?"
    return f"unknown name; known are {', '.join(_NAMES)}"


def _objection(name, node):
    """Return why a node cannot be a value, None if it can."""
    if not isinstance(node, yaml.ScalarNode):
        return f"{name} must be one text, and is a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'}"
    kind = node.tag.rpartition(":")[2]
    if not node.value or kind == "null":
        return f"{name} is empty: give it a value, or remove the line"
    if kind != "str":
        return f"{name} must be text, and YAML takes this for {_KINDS.get(kind, 'something else')}: put it in quotes"
    if not node.value.isascii():
        return f"{name} holds a character that is not ASCII, such as a typographic quote"
    if not node.value.isprintable() or " " in node.value:
        return f"{name} holds a space, a line break or a control character"
    return None


def _missing(lines):
    """Return what has to be there and is not, given the lines of the names that are."""
    problems = [] if "host" in lines else ["host is missing"]
    roles = ("downloader", "uploader")
    for role in roles:
        pair = [f"{role}_access_key", f"{role}_access_secret"]
        there = [name for name in pair if name in lines]
        if len(there) == 1:
            (absent,) = set(pair) - set(there)
            problems.append(f"{absent} is missing: {there[0]} is in line {lines[there[0]]}, and needs it")
    if not any(name.startswith(roles) for name in lines):
        problems.append(
            "no key pair: downloader_access_key and downloader_access_secret are needed to download, "
            "uploader_access_key and uploader_access_secret to upload"
        )
    return problems
