"""The command line of ``publish``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Publish the files of a directory as a release, which appears once all of it is
stored, and never changes. What is stored already is not sent again. The SHA-256
that it prints is the release's identity: install can ask for it."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    publish = add_command(
        add_parser, "publish", "send a directory as one", "% BUCKET DIR NAME [options]", _DESCRIPTION
    )
    publish.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    publish.add_argument("directory", metavar="DIR", type=values.given, help="the directory, hidden files included")
    publish.add_argument("name", metavar="NAME", type=values.given, help="such as v2")
    publish.add_argument("--prefix", metavar="P", type=values.prefix, default="", help="publish below P/")
    publish.add_argument("--sign", metavar="KEYFILE", type=values.given, help="sign it with this Ed25519 key (PEM)")
    publish.add_argument("--jobs", metavar="N", type=values.jobs, default=8, help="files at a time; default: 8")
