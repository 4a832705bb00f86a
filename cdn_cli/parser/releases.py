"""The command line of ``releases``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
List the releases of a bucket: when each was published (UTC), how many files it
has, their size, its identity (the SHA-256 of its manifest), and its name."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    releases = add_command(add_parser, "releases", "list what is published", "% BUCKET [options]", _DESCRIPTION)
    releases.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    releases.add_argument("--prefix", metavar="P", type=values.prefix, default="", help="those below P/")
