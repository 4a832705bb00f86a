"""The command line of ``download``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command
from cdn_cli.parser.selection import add_patterns

__all__ = ["add"]

_USAGE = """\
% BUCKET (KEY... | --prefix P) [options]
       % --url URL [options]"""

_DESCRIPTION = """\
Download objects to BUCKET/KEY, or to DIR/KEY. An interrupted download resumes
when you run the command again; a file only appears once it is complete and
verified. A key that leads out of the directory, such as '../x', is refused."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    download = add_command(add_parser, "download", "fetch objects", _USAGE, _DESCRIPTION)
    download.add_argument("bucket", metavar="BUCKET", nargs="?", type=values.bucket)
    download.add_argument("keys", metavar="KEY", nargs="*", type=values.key, help="key of an object")
    download.add_argument("--prefix", metavar="P", type=values.prefix, help="download every object below P/")
    download.add_argument("--url", metavar="URL", type=values.given, help="a presigned URL; - reads it from stdin")
    add_patterns(download)
    download.add_argument("--into", metavar="DIR", type=values.given, help="download to DIR/KEY instead of BUCKET/KEY")
    download.add_argument("--output", metavar="FILE", type=values.given, help="download the one KEY to FILE")
    download.add_argument("--jobs", metavar="N", type=values.jobs, default=4, help="transfers at a time; default: 4")
    download.add_argument("--sha256", metavar="HEX", type=values.sha256, help="the digest that the one KEY must have")
    download.add_argument("--dry-run", action="store_true", help="only show what would be transferred")
