"""The options that say which files of a directory, or objects below a prefix, a command is about."""

from argparse import ArgumentParser

from cdn_cli.parser import values

__all__ = ["add_hidden", "add_patterns"]


def add_patterns(command: ArgumentParser) -> None:
    """Add ``--include`` and ``--exclude``."""
    for option, text in (
        ("--include", "only what matches PATTERN, as in .gitignore"),
        ("--exclude", "not what matches PATTERN; both may be repeated"),
    ):
        command.add_argument(option, metavar="PATTERN", action="append", default=[], type=values.given, help=text)


def add_hidden(command: ArgumentParser) -> None:
    """Add ``--hidden``."""
    command.add_argument("--hidden", action="store_true", help="take names that begin with '.' too")
