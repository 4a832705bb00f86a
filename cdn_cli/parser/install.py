"""The command line of ``install``."""

from argparse import ArgumentParser
from collections.abc import Callable

from cdn_cli.parser import values
from cdn_cli.parser.command import add_command

__all__ = ["add"]

_DESCRIPTION = """\
Install a release as DIR/NAME, which appears whole, and make DIR/current lead to
it. Files that another release in DIR has are not fetched again. An interrupted
install changes nothing, and goes on when you run the command again."""


def add(add_parser: Callable[..., ArgumentParser]) -> None:
    """Add the command."""
    install = add_command(
        add_parser, "install", "fetch one, and switch to it", "% BUCKET NAME --into DIR [options]", _DESCRIPTION
    )
    install.add_argument("bucket", metavar="BUCKET", type=values.bucket)
    install.add_argument("name", metavar="NAME", type=values.given, help="such as v2")
    install.add_argument("--into", metavar="DIR", type=values.given, required=True, help="where releases are kept")
    install.add_argument("--prefix", metavar="P", type=values.prefix, default="", help="it was published below P/")
    install.add_argument("--sha256", metavar="HEX", type=values.sha256,
                         help="the identity it must have, as publish prints it")  # fmt: skip
    install.add_argument("--jobs", metavar="N", type=values.jobs, default=8, help="files at a time; default: 8")
