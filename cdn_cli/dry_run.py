"""Shows what a transfer of many files would do, for ``--dry-run``."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from botocore.exceptions import ClientError

from cdn_cli.console import DONE, FAILED, Output, files_text, size_text
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_cli.transfer import Transfer
from cdn_engine.pool import for_each
from cdn_manager import CDNError

__all__ = ["Decision", "show"]


class Decision(NamedTuple):
    """What would be done with one file.

    Attributes:
        is_needed: False if there is nothing to do.
        size: The size of the content in bytes; None if it is not known.
        is_compared: False if it could not be found out whether there is anything to do.
    """

    is_needed: bool
    size: int | None
    is_compared: bool = True


@signals_as_interrupts()
def show(
    decide: Callable[[Transfer], Decision], transfers: Sequence[Transfer], jobs: int, bucket: str, output: Output,
    verb: str,
) -> int:  # fmt: skip
    """Show what would be done with each file. Return the exit status.

    Args:
        decide: Is called in several threads.
        transfers: The files.
        jobs: How many are looked at at a time.
        bucket: The bucket.
        output: How much to write.
        verb: What would be done: ``upload`` or ``download``.
    """
    report = Report(output, bucket)
    needed = unchanged = total = 0
    for transfer, call in for_each(decide, transfers, jobs):
        try:
            decision = call.result()
        except (CDNError, ClientError, OSError) as error:
            report.fail(transfer.key, error, transfer.path)
            continue
        event, text = _texts(transfer, decision, bucket, verb)
        members = {"path": transfer.path, "bucket": bucket, "key": transfer.key, "size": decision.size}
        report.tell(event, text, members)
        needed += decision.is_needed
        unchanged += not decision.is_needed
        total += (decision.size or 0) if decision.is_needed else 0
    text = f"would {verb} {files_text(needed)}, {size_text(total)}; {unchanged} unchanged"
    counts = {f"would_{verb}": needed, "unchanged": unchanged, "failed": report.failed, "size": total}
    report.tell("summary", text, counts)
    return FAILED if report.failed else DONE


def _texts(transfer: Transfer, decision: Decision, bucket: str, verb: str) -> tuple[str, str]:
    """Return the name of the event, and what people read."""
    name = f"{bucket}/{transfer.key}"
    if not decision.is_needed:
        return "unchanged", f"unchanged {name}"
    notes = [] if decision.size is None else [size_text(decision.size)]
    notes += [] if decision.is_compared else ["not compared"]
    note = f" ({', '.join(notes)})" if notes else ""
    return f"would_{verb}", f"would {verb} {name}{note}"
