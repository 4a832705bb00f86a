"""The command line of ``verify``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command
from cdn_cli.parser.selection import add_hidden, add_patterns

__all__ = ["add"]

_DESCRIPTION = """\
Compare files with the digests of the objects, without downloading these. Keys
are as upload makes them; PATH may also be what download has made: BUCKET, or
the DIR of --into. The exit status is 0 only if every file matches."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    verify = add_command(add_parser, "verify", "compare files with objects", "% PATH BUCKET [options]", _DESCRIPTION)
    verify.add_argument("path", metavar="PATH", type=values.given, help="file or directory")
    verify.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    verify.add_argument("--prefix", metavar="P", type=values.prefix,
                        help="put P/ before each key; also name what is only there")  # fmt: skip
    verify.add_argument("--key", metavar="KEY", type=values.key, help="the key of the one file")
    add_patterns(verify)
    add_hidden(verify)
    verify.add_argument("--jobs", metavar="N", type=values.jobs, default=4, help="files at a time; default: 4")
