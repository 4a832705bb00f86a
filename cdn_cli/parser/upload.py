"""The command line of ``upload``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command
from cdn_cli.parser.selection import add_hidden, add_patterns

__all__ = ["add"]

_DESCRIPTION = """\
Upload files to a bucket. A file given by name is stored under its file name, a
file in a directory under its path below it. What is stored already is not sent
again. Each object carries its SHA-256, so that downloads can be verified."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    upload = add_command(
        add_parser, "upload", "send files and directories", "% BUCKET PATH... [options]", _DESCRIPTION
    )
    upload.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    upload.add_argument("paths", metavar="PATH", nargs="+", type=values.given, help="file, directory, or - for stdin")
    upload.add_argument("--prefix", metavar="P", type=values.prefix, default="", help="put P/ before each key")
    upload.add_argument("--key", metavar="KEY", type=values.key, help="the key of the one file, or of stdin")
    add_patterns(upload)
    add_hidden(upload)
    upload.add_argument("--jobs", metavar="N", type=values.jobs, default=4, help="transfers at a time; default: 4")
    replacing = upload.add_mutually_exclusive_group()
    for option, overwrite, text in (
        ("--force", True, "send unchanged files too"), ("--no-overwrite", False, "do not replace existing objects"),
    ):  # fmt: skip
        replacing.add_argument(option, dest="overwrite", action="store_const", const=overwrite, help=text)
    upload.set_defaults(overwrite="changed")
    upload.add_argument("--dry-run", action="store_true", help="only show what would be sent")
