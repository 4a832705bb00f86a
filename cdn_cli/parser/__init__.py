"""Defines the command line: commands, options, help texts, and what an argument may look like. One file per command."""

from argparse import ArgumentParser

from cdn_cli.parser import check, download, upload
from cdn_cli.parser.command import Parser, add_shared_options, formatter

__all__ = ["build_parser", "valued_options"]

_COMMANDS = (upload, download, check)  # in the order of the help

_EPILOG = """\
examples:
  cdn-manager upload models release/ --prefix v2
  cdn-manager download models v2/model.safetensors --into /srv/models
  cdn-manager check models v2/model.safetensors

exit status: 0 all done, 1 something failed, 2 usage or configuration, 130 ^C"""


def build_parser() -> Parser:
    """Return the parser. The namespace it makes has ``run``, a function that takes it and returns the exit status."""
    parser = Parser(
        prog="cdn-manager",
        usage="cdn-manager COMMAND ... [options]",
        description="Move big files to and from an S3-compatible CDN.",
        epilog=_EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    add_shared_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="cdn-manager")
    for command in _COMMANDS:
        command.add(commands.add_parser)
    return parser


def valued_options(parser: ArgumentParser) -> frozenset[str]:
    """Return the options that take a value, in whichever command."""
    parsers = [parser]
    found: set[str] = set()
    for one in parsers:
        for action in one._actions:  # argparse has no public way to list them
            if isinstance(action.choices, dict):
                parsers += action.choices.values()
            elif action.nargs != 0:
                found.update(action.option_strings)
    return frozenset(found)
