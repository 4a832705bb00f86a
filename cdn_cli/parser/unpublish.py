"""The command line of ``unpublish``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Remove a release from a bucket, after asking; without a terminal it needs --yes.
Nobody can install it any more. --collect also removes the files that no other
release needs, and refuses to while somebody may be publishing."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    unpublish = add_command(
        add_parser, "unpublish", "remove one at the store", "% BUCKET NAME [options]", _DESCRIPTION
    )
    unpublish.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    unpublish.add_argument("name", metavar="NAME", type=values.given, help="such as v1")
    unpublish.add_argument("--prefix", metavar="P", type=values.prefix, default="", help="it was published below P/")
    unpublish.add_argument("--collect", action="store_true", help="also remove files that no release needs")
    unpublish.add_argument("--yes", action="store_true", help="do not ask")
