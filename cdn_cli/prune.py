"""The command ``prune``."""

import os
from argparse import Namespace

from cdn_cli.configuration import show_log
from cdn_cli.console import DONE, Output, releases_text
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_release import prune

__all__ = ["run"]


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """Remove old releases from a directory. Return the exit status."""
    report = Report(Output(options.json, options.quiet, options.verbose), "")
    show_log(options.quiet)
    removed = prune(options.directory, options.keep)
    for name in removed:
        path = os.path.join(options.directory, name)
        report.tell("pruned", f"removed {path}", {"name": name, "path": path})
    report.tell("summary", f"removed {releases_text(len(removed))}", {"pruned": len(removed)})
    return DONE
