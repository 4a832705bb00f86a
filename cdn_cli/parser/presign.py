"""The command line of ``presign``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Print a URL with which anybody can download one object, without a key, until it
expires: cdn-manager download --url URL. It is signed on this machine; the store
is not asked, and whether the object exists is not looked at."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    presign = add_command(
        add_parser, "presign", "make a URL for one object", "% BUCKET KEY [options]", _DESCRIPTION
    )
    presign.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    presign.add_argument("key", metavar="KEY", type=values.key, help="key of an object")
    presign.add_argument(
        "--expires", metavar="TIME", type=values.age, default=3600.0,
        help="how long it is valid: 30m, 12h, 7d at most; default: 1h",
    )  # fmt: skip
