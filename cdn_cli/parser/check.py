"""The command line of ``check``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Find out what is wrong between this machine and the store, and try the keys.
With BUCKET, write a small object and delete it again, to see what they may do
and what the store supports. With KEY, also see whether that object can be read
and fits on disk."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    check = add_command(add_parser, "check", "find out what is wrong", "% [BUCKET [KEY]] [options]", _DESCRIPTION)
    check.add_argument("bucket", metavar="BUCKET", nargs="?", type=values.bucket)
    check.add_argument("key", metavar="KEY", nargs="?", type=values.key)
    check.add_argument("--into", metavar="DIR", type=values.given, help="test the disk of DIR instead of BUCKET's")
    check.add_argument("--uploader-may-read", action="store_true", help="only warn of an uploader key that can read")
