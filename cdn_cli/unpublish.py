"""The command ``unpublish``."""

import sys
from argparse import Namespace

from cdn_cli.configuration import open_manager
from cdn_cli.console import DONE, FAILED, Output, UsageError, agrees, complain, objects_text, size_text
from cdn_cli.release_name import check_release_name
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_manager import TRANSFER_ERRORS
from cdn_release import Unpublished, unpublish

__all__ = ["run"]


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """Remove a release from a bucket. Return the exit status."""
    bucket, name, prefix = options.bucket, options.name, options.prefix
    check_release_name(name)
    if not (options.yes or (sys.stdin.isatty() and sys.stderr.isatty())):
        raise UsageError("unpublish asks before it removes anything, and there is no terminal: give --yes")
    report = Report(Output(options.json, options.quiet, options.verbose), bucket)
    with open_manager(options) as manager:
        if manager.upload_client is None:
            raise UsageError("the credentials have no uploader_access_key: this machine cannot remove anything")
        question = f"remove release {prefix + name!r} from {bucket!r}? nobody can install it then"
        if not (options.yes or agrees(question)):
            complain("nothing was removed")
            return FAILED
        try:
            done = unpublish(manager, bucket, name, prefix=prefix, collect=options.collect)
        except TRANSFER_ERRORS as error:
            report.fail(prefix + name, error)
            return FAILED
        except KeyboardInterrupt:
            complain("part of it may be removed: run the command again to remove the rest")
            raise
    if not (done.found or options.collect):
        complain(f"there is no release {prefix + name!r} in {bucket!r}")
        return FAILED
    report.tell("unpublished", _text(done, options.collect), {"bucket": bucket, **done._asdict()})
    return DONE


def _text(done: Unpublished, is_collected: bool) -> str:
    text = f"unpublished {done.name}" if done.found else f"there was no release {done.name}"
    if is_collected:
        text += f"; removed {objects_text(done.removed)}, {size_text(done.size)}, that no release needs"
    return text
