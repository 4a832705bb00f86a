"""The command line of ``rollback``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Make DIR/current lead to another release in DIR: to NAME, or to the one that was
current before. The store is not asked."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    rollback = add_command(
        add_parser, "rollback", "switch back to another", "% DIR [NAME] [options]", _DESCRIPTION
    )
    rollback.add_argument("directory", metavar="DIR", type=values.given, help="the DIR of install --into")
    rollback.add_argument("name", metavar="NAME", nargs="?", type=values.given,
                          help="the release; default: the one before")  # fmt: skip
