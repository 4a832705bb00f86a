"""Runs a batch and reports how it ended."""

import os
import time
from collections.abc import Callable
from typing import Any

from cdn_cli.batch import Batch
from cdn_cli.console import (
    DONE,
    FAILED,
    Output,
    complain,
    complain_about_output,
    files_text,
    flush,
    print_event,
    rate_text,
    seconds_text,
    size_text,
    status_of_signal,
)
from cdn_cli.log_file import record

__all__ = ["run_and_report", "summary_text"]


def run_and_report(
    batch: Batch, bucket: str, output: Output, text_of: Callable[[dict[str, Any]], str] | None = None
) -> int:
    """Run the transfers of a batch, report how they ended, and return the exit status.

    Args:
        batch: The batch.
        bucket: The bucket that it is about.
        output: How much to write.
        text_of: Returns what people read, of what ``--json`` prints; nothing if nothing was done. None for the counts.
    """
    with batch:
        try:
            with batch.display:
                batch.run()
            status = _report(batch, bucket, output, text_of)
        except OSError as error:  # of the output
            if batch.signal is None:
                complain_about_output(error, output.verbose)
                status = FAILED
            else:
                status = status_of_signal(batch.signal)  # the terminal is gone: nobody can be told
        if batch.running:
            record({"event": "ended", "status": status})
            os._exit(flush(status))  # exiting normally would wait for threads that wait for a dead connection
    return status


def _report(
    batch: Batch, bucket: str, output: Output, text_of: Callable[[dict[str, Any]], str] | None = None
) -> int:
    if batch.error is not None and batch.signal is None:
        complain_about_output(batch.error, output.verbose)
        return FAILED
    count = len(batch.transfers)
    summary = _summarize(batch)
    record(summary)
    if output.json:
        print_event(summary)
    elif not output.quiet:
        text = summary_text(summary, count, batch.direction.verb) if text_of is None else text_of(summary)
        if text:
            print(text, flush=True)  # above the errors in a log file too
    for transfer, error in batch.failed.items():
        complain(error, f"{bucket}/{transfer.key}: ", output.verbose)
    if batch.signal is not None:
        if batch.direction.left:
            for transfer in batch.begun - batch.ended:
                complain(f"{bucket}/{transfer.key}: {batch.direction.left}")
        complain(f"interrupted with {len(batch.done)} of {count} done; {batch.direction.advice}")
        return status_of_signal(batch.signal)
    if summary["not_tried"]:
        complain(f"no connection to the store: {summary['not_tried']} of {files_text(count)} not tried")
    return FAILED if batch.failed else DONE


def _summarize(batch: Batch) -> dict[str, Any]:
    """Return the last object that ``--json`` prints."""
    results = batch.done.values()
    return {
        "event": "summary",
        "done": len(batch.done),
        "skipped": sum(result.skipped for result in results),
        "failed": len(batch.failed),
        "unverified": sum(not (result.verified or result.sha256) for result in results),  # never an upload
        "not_tried": len(batch.transfers) - len(batch.begun),
        "interrupted": batch.signal is not None,
        "size": sum(result.size for result in results),
        "transferred": sum(result.transferred for result in results),
        "resumed": sum(result.resumed_from for result in results),
        "seconds": round(batch.seconds, 3),
        "moving_seconds": round(min(batch.moving.seconds(time.monotonic()), batch.seconds), 3),
    }


def summary_text(summary: dict[str, Any], count: int, verb: str) -> str:
    """Return the line that people read.

    Args:
        summary: What ``--json`` prints.
        count: How many files there are.
        verb: What happened to those that are done.
    """
    done, skipped, seconds = summary["done"], summary["skipped"], summary["seconds"]
    moved = done - skipped
    text = f"{verb} {files_text(count) if moved == count else f'{moved} of {files_text(count)}'}"
    if moved:
        size = summary["transferred"] + summary["resumed"] if skipped else summary["size"]
        text += f", {size_text(size)} in {seconds_text(seconds)}"
        if done == count and size:  # otherwise it also took time to move what is not counted
            rate = rate_text(summary["transferred"], summary["moving_seconds"])
            if not summary["transferred"]:
                rate = "nothing had to be transferred"
            text += f" ({rate})" if rate else ""
    if skipped:
        text += f", {skipped} unchanged"
    if summary["resumed"]:
        text += f", {size_text(summary['resumed'])} from an earlier run"
    if summary["failed"]:
        text += f", {summary['failed']} failed"
    if summary["unverified"]:
        text += (f"; {files_text(summary['unverified'])} not verified, for want of a SHA-256 at the store: "
                 "upload with cdn-manager, or give --sha256")  # fmt: skip
    return text
