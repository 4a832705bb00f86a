"""The command line of ``orphans``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
List uploads in parts that were begun and never finished: their age, key and id.
Their parts cost money, and no listing of objects shows them. 'resumable' are
those with which an upload from this machine would go on."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    orphans = add_command(add_parser, "orphans", "list unfinished uploads", "% BUCKET [options]", _DESCRIPTION)
    orphans.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    orphans.add_argument("--older-than", metavar="AGE", type=values.age, default="1d",
                         help="such as 12h, in s, m, h or d; default: 1d")  # fmt: skip
    orphans.add_argument("--abort", action="store_true", help="abort them, and those that are resumable too")
    orphans.add_argument("--dry-run", action="store_true", help="with --abort: only show what would be aborted")
