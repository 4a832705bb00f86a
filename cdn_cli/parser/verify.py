"""The command line of ``verify``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command
from cdn_cli.parser.selection import add_hidden, add_patterns

__all__ = ["add"]

_USAGE = """\
% PATH BUCKET [options]
       % DIR/NAME [--sha256 HEX]"""

_DESCRIPTION = """\
Compare files with the digests of the objects, without downloading these. Keys
are as upload makes them; PATH may also be what download has made: BUCKET, or
the DIR of --into. Without BUCKET, compare an installed release with what was
published, offline. The exit status is 0 only if every file matches."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    verify = add_command(add_parser, "verify", "compare files with objects", _USAGE, _DESCRIPTION)
    verify.add_argument("path", metavar="PATH", type=values.given, help="file or directory")
    verify.add_argument("bucket", metavar="BUCKET", nargs="?", type=values.bucket)
    verify.add_argument("--prefix", metavar="P", type=values.prefix,
                        help="put P/ before each key; also name what is only there")  # fmt: skip
    verify.add_argument("--key", metavar="KEY", type=values.key, help="the key of the one file")
    add_patterns(verify)
    add_hidden(verify)
    verify.add_argument("--jobs", metavar="N", type=values.jobs, help="files at a time; default: 4")
    verify.add_argument("--sha256", metavar="HEX", type=values.sha256, help="the identity that the release must have")
