"""The command ``check``."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable

from cdn_cli.checks import Finding, check
from cdn_cli.configuration import read_configuration
from cdn_cli.console import DONE, FAILED, complain_about_output
from cdn_cli.signals import signals_as_interrupts
from cdn_engine.errors import printable

__all__ = ["run"]

_COLORS = {"ok": "green", "warning": "bold yellow", "failed": "bold red", "skipped": "yellow"}


def run(options: Namespace) -> int:
    """Print what is wrong between this machine and the store. Return the exit status."""
    with signals_as_interrupts():  # the check then deletes what it has written
        return _run(options)


def _run(options: Namespace) -> int:
    configuration = read_configuration(options)
    write = _writer(options.json, options.quiet)
    status = DONE
    for finding in check(
        configuration.credentials, options.bucket, options.key, path=configuration.path,
        settings=configuration.settings, into=options.into, uploader_may_read=options.uploader_may_read,
    ):  # fmt: skip
        if finding.state == "failed":
            status = FAILED
        try:
            write(finding)
        except OSError as error:
            complain_about_output(error, options.verbose)
            return FAILED
    return status


def _writer(as_json: bool, quiet: bool) -> Callable[[Finding], None]:
    """Return the function that writes one finding."""
    if as_json:
        return _write_json
    if quiet:
        return _write_failure
    if sys.stdout.isatty():
        try:
            return _color_writer()
        except ImportError:
            pass  # rich is optional
    return _write_line


def _write_json(finding: Finding) -> None:
    print(json.dumps({"event": "finding", **finding._asdict()}), flush=True)


def _write_failure(finding: Finding) -> None:
    if finding.state == "failed" and finding.name != "result":  # which only repeats them
        print(_line(finding), file=sys.stderr)


def _write_line(finding: Finding) -> None:
    print(f"{finding.state:<8}{_line(finding)}", flush=True)


def _color_writer() -> Callable[[Finding], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console()

    def write(finding: Finding) -> None:
        state = (f"{finding.state:<8}", _COLORS[finding.state])
        console.print(Text.assemble(state, _line(finding)), soft_wrap=True)

    return write


def _line(finding: Finding) -> str:
    text = f"{finding.text} -> {finding.advice}" if finding.advice else finding.text
    return f"{finding.name:<24}{printable(text)}"
