"""Adds a command to the parser, with the options that every command has."""

import argparse
import importlib
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any, NoReturn

from cdn_cli.console import printable
from cdn_cli.parser.values import given

__all__ = ["Parser", "add_command", "add_shared_options", "formatter"]

_WIDTH = 80  # columns of --help on every terminal, because the documentation shows the same text

_EPILOG = "Options of every command: cdn-manager --help"


class Parser(ArgumentParser):
    """argparse's, with errors that are safe to show on a terminal."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: -"):
            message += "; what begins with '-' and is no option goes behind '--'"
        super().error(printable(message))  # it quotes what was typed


def formatter(prog: str) -> RawDescriptionHelpFormatter:
    """Return what lays out a help screen."""
    return RawDescriptionHelpFormatter(prog, max_help_position=26, width=_WIDTH)


def add_command(
    add_parser: Callable[..., ArgumentParser], name: str, summary: str, usage: str, description: str
) -> ArgumentParser:
    """Add a command, and return its parser.

    Args:
        add_parser: Makes the parser of a command.
        name: The command, and the module of ``cdn_cli`` that carries it out.
        summary: What it does, in a few words.
        usage: What follows its name.
        description: What it does, in at most four lines of 80 characters.
    """
    command = add_parser(
        name, help=summary, usage=usage.replace("%", f"cdn-manager {name}"), description=description,
        epilog=_EPILOG, formatter_class=formatter, allow_abbrev=False,
    )  # fmt: skip
    add_shared_options(command)

    def run(options: Namespace) -> int:
        # Imported when it runs, because boto3 alone takes a quarter of a second.
        status: int = importlib.import_module(f"cdn_cli.{name}").run(options)
        return status

    command.set_defaults(run=run, command=name)
    return command


def add_shared_options(parser: ArgumentParser) -> None:
    """Add the options of every command. They are not in its help: the command's own shows them."""

    def add(name: str, **arguments: Any) -> None:
        parser.add_argument(name, help=argparse.SUPPRESS, **arguments)

    add("--config", metavar="FILE", type=given)
    add("--limit-rate", metavar="RATE", type=given)
    add("--deadline", metavar="TIME", type=given)
    add("--connect-timeout", metavar="TIME", type=given)
    add("--read-timeout", metavar="TIME", type=given)
    add("--log-file", metavar="FILE", type=given)
    add("--json", action="store_true")
    add("--quiet", action="store_true")
    add("--verbose", action="store_true")
    add("--version", action=_Version, nargs=0)


class _Version(argparse.Action):
    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"cdn-manager {version('cdn-manager')}")
        parser.exit()
