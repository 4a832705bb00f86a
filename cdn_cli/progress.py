"""Shows the progress of a batch as JSON or plain lines."""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Self

from cdn_cli.console import files_text, print_event, printable, rate_text, seconds_text, size_text
from cdn_cli.transfer import Transfer
from cdn_engine.errors import explain
from cdn_manager import TransferResult

__all__ = ["Display", "JsonDisplay", "LinesDisplay"]

_INTERVAL = 10.0  # seconds between two lines


class Display:
    """Shows nothing; the base class of the others.

    ``begin``, ``expect``, ``resume`` and ``advance`` are called in the threads of the pool, the others in the main
    thread.
    """

    wants_sizes = False  # True if it is worth a request to learn the size of an object

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, transfer: Transfer) -> None:
        """A transfer begins."""

    def expect(self, transfer: Transfer, size: int | None) -> None:
        """The size of a transfer is now known; None if the store does not say."""

    def resume(self, transfer: Transfer, count: int) -> None:
        """Bytes of an earlier run are being reused."""

    def advance(self, transfer: Transfer, count: int) -> None:
        """More bytes were moved; negative if some have to be moved again."""

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        """A transfer has succeeded."""

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        """A transfer has failed."""

    def tick(self) -> None:
        """A moment has passed, and what has ended in it was told."""


class JsonDisplay(Display):
    """Prints one JSON object for each transfer that has ended."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        event = {"event": "done", "path": transfer.path, **result._asdict(), "seconds": round(seconds, 3)}
        print_event(event)

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        event = {"event": "failed", "bucket": self.bucket, "key": transfer.key, "path": transfer.path,
                 "error": type(error).__name__, "reason": explain(error)}  # fmt: skip
        print_event(event)


class LinesDisplay(Display):
    """Prints a line from time to time."""

    def __init__(self, transfers: Sequence[Transfer], verbose: bool) -> None:
        self.verbose = verbose
        self.count = len(transfers)
        self.unknown = {transfer for transfer in transfers if transfer.size is None}
        self.known = sum(transfer.size or 0 for transfer in transfers)
        self.done = 0
        self.failed = 0
        self.lock = threading.RLock()
        self.bytes = 0
        self.resumed = 0
        self.began = self.printed = time.monotonic()

    @property
    def total(self) -> int | None:
        """The bytes of all transfers; None while the size of one is not known."""
        return None if self.unknown else self.known

    def expect(self, transfer: Transfer, size: int | None) -> None:
        with self.lock:
            if transfer in self.unknown and size is not None:
                self.unknown.remove(transfer)
                self.known += size

    def resume(self, transfer: Transfer, count: int) -> None:
        with self.lock:
            self.bytes += count
            self.resumed += count

    def advance(self, transfer: Transfer, count: int) -> None:
        with self.lock:
            self.bytes += count

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        self.done += 1
        self.expect(transfer, result.size)
        if result.skipped:
            self.resume(transfer, result.size)
        if self.verbose:
            resumed = f", {size_text(result.resumed_from)} from an earlier run" if result.resumed_from else ""
            unverified = "" if result.verified or result.sha256 else ", not verified"
            moved = ", unchanged" if result.skipped else f" in {seconds_text(seconds)}"
            line = f"{transfer.key}: {size_text(result.size)}{moved}{resumed}{unverified}"
            print(printable(line), flush=True)

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        self.failed += 1
        self.expect(transfer, 0)

    def tick(self) -> None:
        now = time.monotonic()
        if now - self.printed < _INTERVAL:
            return
        self.printed = now
        moved, seconds, total = self.bytes - self.resumed, now - self.began, self.total
        parts = [self.files(), size_text(max(0, self.bytes))]  # negative for a moment, if a part is sent again
        if total is not None:
            parts[-1] += f" of {size_text(max(total, self.bytes))}"  # an object may have grown since it was listed
        if rate := rate_text(moved, seconds):
            parts.append(rate)
            if total is not None:
                left = max(0, total - self.bytes) * seconds / moved
                parts.append(f"{int(left) // 60}:{int(left) % 60:02} left")
        print(*parts, sep=", ", file=sys.stderr, flush=True)

    def files(self) -> str:
        """Return how many files are done, and how many have failed."""
        return f"{self.done} of {files_text(self.count)}" + (f", {self.failed} failed" if self.failed else "")
