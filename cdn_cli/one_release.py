"""Runs ``publish`` or ``install`` as a batch of one transfer, and says how it ended."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any, TypeVar

from cdn_cli.batch import Batch, Progress
from cdn_cli.changes import changes_members
from cdn_cli.console import Output, files_text, rate_text, seconds_text, size_text
from cdn_cli.direction import Direction
from cdn_cli.displays import choose
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import ReleaseResult, Transfer
from cdn_manager import TransferResult
from cdn_release import Installed, Published

__all__ = ["moved_text", "run_release"]

Done = TypeVar("Done", Published, Installed)


def run_release(
    move: Callable[[Progress], Done],
    options: Namespace,
    path: str,
    direction: Direction,
    text_of: Callable[[Done, dict[str, Any]], str],
) -> int:
    """Publish or install. Return the exit status.

    Args:
        move: Does it, called with a progress callback.
        options: The command line.
        path: The local directory.
        direction: Publishing or installing.
        text_of: Returns the line that people read, of what ``move`` has returned and the summary.
    """
    transfer = Transfer(options.prefix + options.name, path, None)
    output = Output(options.json, options.quiet, options.verbose)
    finished: list[Done] = []

    def move_one(_: Transfer, progress: Progress) -> TransferResult:
        done = move(progress)
        finished.append(done)
        return _result_of(done, options.bucket, transfer.key)

    def tell(summary: dict[str, Any]) -> str:
        return "".join(text_of(done, summary) for done in finished)

    batch = Batch(move_one, [transfer], 1, choose(output, options.bucket, [transfer]), direction)
    return run_and_report(batch, options.bucket, output, tell)


def _result_of(done: Published | Installed, bucket: str, key: str) -> ReleaseResult:
    more: dict[str, Any] = {"name": done.name, "files": done.files}
    is_verified = False
    if isinstance(done, Installed):
        is_verified = not done.skipped  # what is here already was not read
        more |= {"linked": done.linked, "changes": done.changes and changes_members(done.changes)}
    else:
        more["sent"] = done.sent
    result = ReleaseResult(
        bucket, key, done.size, None, done.sha256, is_verified, done.transferred, done.resumed_from, None, done.skipped,
        "sha256" if is_verified else None,
    )  # fmt: skip
    result.more = more
    return result


def moved_text(done: Published | Installed, verbs: tuple[str, str], there: str, summary: dict[str, Any]) -> str:
    """Return what was done, how much of it has moved, and how fast.

    Args:
        done: The result.
        verbs: What happened to the release, and to the bytes that have moved.
        there: What need not be moved, empty if that is nothing.
        summary: What ``--json`` prints.
    """
    verb, moved = verbs
    seconds, rate = seconds_text(summary["seconds"]), rate_text(done.transferred, summary["moving_seconds"])
    rate = f" ({rate})" if rate else ""
    resumed = f"{size_text(done.resumed_from)} from an earlier run" if done.resumed_from else ""
    text = f"{verb} {done.name}: {files_text(done.files)}, {size_text(done.size)} in {seconds}"
    if not (resumed or there):
        return text + rate
    return ", ".join(filter(None, (f"{text}: {size_text(done.transferred)} {moved}{rate}", resumed, there)))
