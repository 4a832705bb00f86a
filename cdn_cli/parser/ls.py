"""The command line of ``ls``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
List the objects of a bucket: when each was stored (UTC), its size and its key.
A listing has no SHA-256: --digests asks for each, with one request per object."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    ls = add_command(add_parser, "ls", "list objects", "% BUCKET [PREFIX] [options]", _DESCRIPTION)
    ls.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    ls.add_argument("prefix", metavar="PREFIX", nargs="?", type=values.key,
                    help="what the keys begin with, such as v2/")  # fmt: skip
    ls.add_argument("--digests", action="store_true", help="show the SHA-256 of each object")
