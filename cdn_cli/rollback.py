"""The command ``rollback``."""

from argparse import Namespace

from cdn_cli.changes import changes_members, changes_text
from cdn_cli.configuration import show_log
from cdn_cli.console import DONE, Output
from cdn_cli.release_name import check_release_name
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_release import Changes, current, rollback

__all__ = ["run"]


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """Make another release the current one. Return the exit status."""
    show_log(options.quiet)
    if options.name is not None:
        check_release_name(options.name)
    changes = rollback(options.directory, options.name)
    if changes is None and (same := current(options.directory)) is not None:
        changes = Changes(same, same, (), (), ())
    report = Report(Output(options.json, options.quiet, options.verbose), "")
    if changes is not None:
        report.tell("current", changes_text(changes), changes_members(changes))
    return DONE
