"""Runs a batch and reports how it ended."""

import json
import os
from typing import Any

from cdn_cli.batch import Batch
from cdn_cli.console import DONE, FAILED, Output, complain, complain_about_output, flush, size_text, status_of_signal

__all__ = ["run_and_report"]


def run_and_report(batch: Batch, bucket: str, output: Output, verb: str, advice: str) -> int:
    """Run the transfers of a batch, report how they ended, and return the exit status.

    Args:
        batch: The batch.
        bucket: The bucket that it is about.
        output: How much to write.
        verb: What happened to the files, such as "uploaded".
        advice: What to do after an interruption.
    """
    with batch:
        try:
            with batch.display:
                batch.run()
            status = _report(batch, bucket, output, verb, advice)
        except OSError as error:  # of the output
            if batch.signal is None:
                complain_about_output(error, output.verbose)
                status = FAILED
            else:
                status = status_of_signal(batch.signal)  # the terminal is gone: nobody can be told
        if batch.running:
            os._exit(flush(status))  # exiting normally would wait for threads that wait for a dead connection
    return status


def _report(batch: Batch, bucket: str, output: Output, verb: str, advice: str) -> int:
    if batch.error is not None and batch.signal is None:
        complain_about_output(batch.error, output.verbose)
        return FAILED
    count = len(batch.transfers)
    summary = _summarize(batch)
    if output.json:
        print(json.dumps(summary))
    elif not output.quiet:
        _print_summary(summary, count, verb)
    for transfer, error in batch.failed.items():
        subject = f"{bucket}/{transfer.key}"
        complain(error, "" if str(error).startswith(subject) else f"{subject}: ", output.verbose)
    if batch.signal is not None:
        complain(f"interrupted with {len(batch.done)} of {count} done; {advice}")
        return status_of_signal(batch.signal)
    if summary["not_tried"]:
        complain(f"no connection to the store: {summary['not_tried']} of {count} files were not tried")
    return FAILED if batch.failed else DONE


def _summarize(batch: Batch) -> dict[str, Any]:
    """Return the last object that ``--json`` prints."""
    results = batch.done.values()
    return {
        "event": "summary",
        "done": len(batch.done),
        "failed": len(batch.failed),
        "not_tried": len(batch.transfers) - len(batch.begun),
        "interrupted": batch.signal is not None,
        "size": sum(result.size for result in results),
        "transferred": sum(result.transferred for result in results),
        "resumed": sum(result.resumed_from for result in results),
        "seconds": round(batch.seconds, 3),
    }


def _print_summary(summary: dict[str, Any], count: int, verb: str) -> None:
    if count == summary["done"]:
        files = "1 file" if count == 1 else f"{count} files"
    else:
        files = f"{summary['done']} of {count} files"
    resumed = f", {size_text(summary['resumed'])} from an earlier run" if summary["resumed"] else ""
    rate = f"{size_text(int(summary['transferred'] / max(summary['seconds'], 0.001)))}/s"
    if count == summary["done"] and not summary["transferred"]:
        rate = "nothing had to be transferred"
    print(f"{verb} {files}, {size_text(summary['size'])} in {summary['seconds']:.1f} s ({rate}){resumed}")
