"""Defines the command line: commands, options, help texts, and what an argument may look like. One file per command."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from cdn_cli.parser import (
    check,
    completion,
    download,
    install,
    ls,
    orphans,
    presign,
    prune,
    publish,
    releases,
    rm,
    rollback,
    unpublish,
    upload,
    verify,
)
from cdn_cli.parser.command import Parser, add_shared_options, formatter

__all__ = ["build_parser", "valued_options"]

# As in the help.
_COMMANDS = {
    "commands:": (upload, download, verify, ls, rm, orphans, presign, check, completion),
    "commands for releases, which appear whole:": (publish, install, releases, rollback, prune, unpublish),
}

_DESCRIPTION = """\
Move big files to and from an S3-compatible CDN.
"""

# argparse would take a line for each option as well.
_OPTIONS = """
options of every command:
  --config FILE           credentials file   --json      a JSON object per line
  --log-file FILE         adds what is done  --quiet     print only errors
  --limit-rate RATE       in all: 500K, 2M   --verbose   each file, tracebacks
  --deadline TIME         of each transfer   --version   show the version
  --connect-timeout TIME  default: 10s       -h, --help  show this help
  --read-timeout TIME     default: 30s"""

_EPILOG = """\
exit status: 0 all done, 1 something failed, 2 usage or configuration, 130 ^C"""


def build_parser() -> Parser:
    """Return the parser. The namespace it makes has ``run``, a function that takes it and returns the exit status."""
    parser = Parser(
        prog="cdn-manager",
        usage="cdn-manager COMMAND ... [options]",
        epilog=_EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=SUPPRESS)
    add_shared_options(parser)
    # argparse would take a line for each command, and the help would not fit on a screen.
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog="cdn-manager", help=SUPPRESS)
    summaries: list[str] = []

    def add_parser(name: str, **arguments: Any) -> ArgumentParser:
        summaries.append(f"  {name:<10} {arguments['help']:<26}")
        return commands.add_parser(name, **arguments)

    lines = [_DESCRIPTION]
    for heading, group in _COMMANDS.items():
        for command in group:
            command.add(add_parser)
        rows = ["".join(summaries[start:start + 2]).rstrip() for start in range(0, len(summaries), 2)]
        lines += [heading, *rows]
        summaries.clear()
    parser.description = "\n".join((*lines, _OPTIONS))
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
