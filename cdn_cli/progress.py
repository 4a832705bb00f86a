"""Shows the progress of a batch as JSON or plain lines."""

import json
import sys
import threading
import time
from collections.abc import Sequence
from typing import Self

from cdn_cli.console import printable, size_text
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
        """A moment has passed."""


class JsonDisplay(Display):
    """Prints one JSON object for each transfer that has ended."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        event = {"event": "done", "path": transfer.path, **result._asdict(), "seconds": round(seconds, 3)}
        print(json.dumps(event), flush=True)

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        event = {"event": "failed", "bucket": self.bucket, "key": transfer.key, "path": transfer.path,
                 "error": type(error).__name__, "reason": explain(error)}  # fmt: skip
        print(json.dumps(event), flush=True)


class LinesDisplay(Display):
    """Prints a line from time to time."""

    def __init__(self, transfers: Sequence[Transfer], verbose: bool) -> None:
        self.verbose = verbose
        self.count = len(transfers)
        self.unknown = {transfer for transfer in transfers if transfer.size is None}
        self.known = sum(transfer.size or 0 for transfer in transfers)
        self.ended = 0
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
        self.ended += 1
        self.expect(transfer, result.size)
        if self.verbose:
            resumed = f", {size_text(result.resumed_from)} from an earlier run" if result.resumed_from else ""
            print(f"{printable(transfer.key)}: {size_text(result.size)} in {seconds:.1f} s{resumed}")
        self.tick()

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        self.ended += 1
        self.expect(transfer, 0)
        self.tick()

    def tick(self) -> None:
        now = time.monotonic()
        if now - self.printed < _INTERVAL:
            return
        self.printed = now
        rate = (self.bytes - self.resumed) / (now - self.began)
        of_total = left = ""
        total = self.total
        if total is not None:
            of_total = f" of {size_text(total)}"
            if rate > 0:
                minutes, seconds = divmod(int((total - self.bytes) / rate), 60)
                left = f", {minutes}:{seconds:02} left"
        print(
            f"{self.ended} of {self.count} files, {size_text(self.bytes)}{of_total}, {size_text(int(rate))}/s{left}",
            file=sys.stderr,
            flush=True,
        )
