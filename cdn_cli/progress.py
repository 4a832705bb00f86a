"""What a batch tells of its transfers, as JSON and in the log file; the base of what shows its progress to people."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

from cdn_cli.console import files_text, print_event
from cdn_cli.events import done_event, failed_event, progress_event
from cdn_cli.log_file import is_kept, record
from cdn_cli.motion import Motion, is_moving
from cdn_cli.transfer import Transfer
from cdn_manager import TransferResult

__all__ = ["CountingDisplay", "Display", "JsonDisplay"]

_INTERVAL = 1.0  # seconds between two events about the same transfer


class Display:
    """Shows nothing, and only keeps what has ended in the log file; the base class of the others.

    ``begin``, ``expect``, ``resume``, ``advance`` and ``enter`` are called in the threads of the pool, the others in
    the main thread.

    Args:
        bucket: The bucket.
    """

    def __init__(self, bucket: str = "") -> None:
        self.bucket = bucket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, transfer: Transfer) -> None:
        """A transfer begins."""

    def expect(self, transfer: Transfer, size: int) -> None:
        """The size of a transfer is now known."""

    def resume(self, transfer: Transfer, count: int) -> None:
        """Bytes are there that need not be moved, such as those of an earlier run."""

    def advance(self, transfer: Transfer, count: int) -> None:
        """More bytes were moved; negative if some have to be moved again."""

    def enter(self, transfer: Transfer, phase: str, read: int) -> None:
        """A transfer is in this phase, and has read so many bytes in it."""

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        """A transfer has succeeded."""
        if is_kept():
            record(done_event(transfer, result, seconds))

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        """A transfer has failed."""
        if is_kept():
            record(failed_event(self.bucket, transfer, error))

    def tick(self) -> None:
        """A moment has passed, and what has ended in it was told."""


class CountingDisplay(Display):
    """Counts what each transfer moves, and all of them.

    Args:
        bucket: The bucket.
        transfers: All transfers of the batch.
        clock: Returns the time in seconds.

    Attributes:
        running: The state of each transfer that runs.
        total: That of all of them.
        done: How many have succeeded.
        failed: How many have failed.
    """

    def __init__(self, bucket: str, transfers: Sequence[Transfer], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(bucket)
        self.clock = clock
        self.count = len(transfers)
        self.done = self.failed = 0
        self.lock = threading.RLock()
        self.running: dict[Transfer, Motion] = {}
        self._unknown = {transfer for transfer in transfers if transfer.size is None}
        self._known = sum(transfer.size or 0 for transfer in transfers)
        self.total = Motion()
        self._sum_up(0)

    def _sum_up(self, more: int) -> None:
        self._known += more
        self.total.size = None if self._unknown else self._known

    def begin(self, transfer: Transfer) -> None:
        with self.lock:
            self.running[transfer] = Motion(transfer.size)

    def expect(self, transfer: Transfer, size: int) -> None:
        with self.lock:
            if transfer in self.running:
                self.running[transfer].size = size
            if transfer in self._unknown:
                self._unknown.remove(transfer)
                self._sum_up(size)

    def resume(self, transfer: Transfer, count: int) -> None:
        with self.lock:
            self.running[transfer].resume(count)
            self.total.resume(count)

    def advance(self, transfer: Transfer, count: int) -> None:
        with self.lock:
            self.running[transfer].advance(count)
            self.total.advance(count)

    def enter(self, transfer: Transfer, phase: str, read: int) -> None:
        with self.lock:
            self.running[transfer].enter(phase, read, self.clock())

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        super().finish(transfer, result, seconds)
        with self.lock:
            self.done += 1
            self.expect(transfer, result.size)
            motion = self.running.pop(transfer)
            if result.skipped:
                self.total.resume(result.size - motion.bytes)

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        super().fail(transfer, error)
        with self.lock:
            self.failed += 1
            motion = self.running.pop(transfer)
            self.expect(transfer, motion.bytes)
            self._sum_up(min(0, motion.bytes - (motion.size or 0)))  # the rest of it will not be moved

    def tick(self) -> None:
        self.measure()

    def measure(self) -> None:
        """Take a sample for each rate, and find out what all of it is doing."""
        with self.lock:
            now = self.clock()
            for motion in self.running.values():
                motion.look(now)
            if self.running:
                first = next((one for one in self.running.values() if is_moving(one.phase)), None)
                first = first or next(iter(self.running.values()))
                self.total.enter(first.phase, first.read if self.count == 1 else 0, now)
                self.total.since = first.since
            self.total.look(now)

    def files(self) -> str:
        """Return how many files are done, and how many have failed."""
        return f"{self.done} of {files_text(self.count)}" + (f", {self.failed} failed" if self.failed else "")


class JsonDisplay(CountingDisplay):
    """Prints one JSON object for each transfer that has ended, and once a second one for each that runs."""

    def __init__(
        self, bucket: str, transfers: Sequence[Transfer], quiet: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(bucket, transfers, clock)
        self._quiet = quiet
        self._told_at: dict[Transfer | None, float] = {None: clock()}  # None is all of them

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        super().finish(transfer, result, seconds)
        print_event(done_event(transfer, result, seconds))

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        super().fail(transfer, error)
        print_event(failed_event(self.bucket, transfer, error))

    def tick(self) -> None:
        super().tick()
        if self._quiet:
            return
        with self.lock:
            now = self.clock()
            events = [
                progress_event(motion, bucket=self.bucket, key=transfer.key, path=transfer.path)
                for transfer, motion in self.running.items() if self._is_due(transfer, now)
            ]  # fmt: skip
            self._told_at = {one: at for one, at in self._told_at.items() if one is None or one in self.running}
            if self._is_due(None, now):
                events.append({**progress_event(self.total), "event": "total", "files": self.count,
                               "done": self.done, "failed": self.failed})  # fmt: skip
        for event in events:
            print_event(event)

    def _is_due(self, transfer: Transfer | None, now: float) -> bool:
        if now - self._told_at.setdefault(transfer, now) < _INTERVAL:
            return False
        self._told_at[transfer] = now
        return True
