"""The command line of ``prune``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Remove releases from DIR. N stay: the current one, which is never removed, those
that were current before it, and then others."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    prune = add_command(add_parser, "prune", "remove old ones here", "% DIR --keep N [options]", _DESCRIPTION)
    prune.add_argument("directory", metavar="DIR", type=values.given, help="the DIR of install --into")
    prune.add_argument("--keep", metavar="N", type=values.count, required=True, help="how many to keep; at least 1")
