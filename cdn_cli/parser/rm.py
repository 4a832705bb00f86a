"""The command line of ``rm``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_USAGE = """\
% BUCKET KEY... [options]
       % BUCKET --prefix P [options]"""

_DESCRIPTION = """\
Remove objects. There are no wildcards: '*' in a KEY is a character. --prefix
shows how many objects there are and asks; without a terminal it needs --yes."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    rm = add_command(add_parser, "rm", "remove objects", _USAGE, _DESCRIPTION)
    rm.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    rm.add_argument("keys", metavar="KEY", nargs="*", type=values.key, help="key of an object")
    rm.add_argument("--prefix", metavar="P", type=values.prefix, help="remove every object below P/")
    rm.add_argument("--yes", action="store_true", help="do not ask")
    rm.add_argument("--dry-run", action="store_true", help="only show what would be removed")
