"""Runs many transfers in a bounded pool of threads, the largest first."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Self, TypeAlias

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from cdn_cli.console import say
from cdn_cli.direction import Direction
from cdn_cli.motion import MovingTime
from cdn_cli.progress import Display
from cdn_cli.transfer import Transfer
from cdn_engine.phases import COMPARING
from cdn_engine.wire.tls import ca_bundle
from cdn_manager import CDNError, TransferResult

__all__ = ["Batch", "Interrupted", "Progress"]

Progress: TypeAlias = Callable[[int], None]
_Move: TypeAlias = Callable[[Transfer, Progress], TransferResult]
_Outcome: TypeAlias = TransferResult | BaseException

# What ends a process from outside: Ctrl-C; a service manager or a shutdown; a terminal or connection that closes.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_SAME_SIGNAL = 0.5  # seconds; a terminal and a service manager may send one twice
_SILENCE = 1.0  # seconds of waiting, after which it is said what for
_TICK = 0.1  # seconds that the main thread waits at a time

# Beyond this many threads, more are only started while the process mostly waits: where a core is busy they are in each
# other's way. 2,000 x 64 KiB over loopback: 16 threads 2.3 s, 64 2.5 s, 256 3.0 s.
_AT_ONCE = 16
_BUSY = 0.5  # of a core


class Interrupted(Exception):
    """Ends a transfer from within its progress callback."""


class _Reports:
    """What the engine tells of one transfer: its progress callback.

    Args:
        batch: The batch.
        transfer: The transfer.
    """

    def __init__(self, batch: "Batch", transfer: Transfer) -> None:
        self._batch = batch
        self._transfer = transfer
        self._phase = ""
        self._is_told_to_end = False

    def __call__(self, count: int) -> None:
        self._end_if_asked()
        if count:  # else the engine only asks whether to go on
            self._batch.count(self._transfer, count, self._phase == COMPARING)

    def phase(self, name: str, read: int, size: int | None) -> None:
        self._end_if_asked()
        self._phase = name
        self._batch.enter(self._transfer, name, read, size)

    def _end_if_asked(self) -> None:
        if self._batch.is_ending() and not self._is_told_to_end:
            self._is_told_to_end = True  # once only: the engine reports again while it tidies up the partial file
            raise Interrupted


class Batch:
    """Some transfers, each of which may fail without affecting the others.

    Within its ``with`` block, a signal that asks the process to exit ends ``run`` instead, and a second one ends its
    wait for running transfers, so that the caller can report what was done before leaving the block. For the main
    thread.

    Args:
        move: Called with a ``Transfer`` and a progress callback, in a thread of the pool; returns the result.
        transfers: The transfers.
        jobs: How many may run at a time. Beyond 16, fewer do while these keep the process busy.
        display: Is told what happens.
        direction: Uploads or downloads.

    Attributes:
        done: The results of the transfers that succeeded, by transfer.
        failed: The exceptions of those that failed, by transfer.
        begun: The transfers that were started.
        ended: Those of them that have ended, in whatever way.
        signal: The number of the signal that interrupted it, or None.
        unreachable: True if it gave up because nothing could connect to the store.
        error: The exception of the display that ended it, or None.
        seconds: How long all of it took.
        moving: How long bytes moved: without the time for digests, for other processes, and for the disk at the end.
    """

    def __init__(
        self, move: _Move, transfers: Iterable[Transfer], jobs: int, display: Display, direction: Direction
    ) -> None:
        self.move = move
        # Those of unknown size come first: some of them are bound to fail, and should do so at once.
        self.transfers = sorted(
            transfers, key=lambda transfer: (transfer.size is None, transfer.size or 0), reverse=True
        )
        self.jobs = jobs
        self.display = display
        self.direction = direction
        self.done: dict[Transfer, TransferResult] = {}
        self.failed: dict[Transfer, BaseException] = {}
        self.begun: set[Transfer] = set()
        self.ended: set[Transfer] = set()
        self.signal: int | None = None
        self.unreachable = False
        self.error: Exception | None = None
        self.seconds = 0.0
        self.moving = MovingTime()
        self._waiting = deque(self.transfers)
        self._threads: list[threading.Thread] = []
        self._outcomes: deque[tuple[Transfer, _Outcome, float]] = deque()  # not recorded yet
        self._kept: dict[Transfer, int] = {}
        self._received = False  # some transfer has moved a byte over the network
        self._stopping = False
        self._signalled = 0.0
        self._leaving = False

    def __enter__(self) -> Self:
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in self._handlers.items():
            # A signal the parent ignores (nohup) stays ignored. The handler raises nothing, because an exception could
            # come at any point, even while another one is handled.
            if handler in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._interrupt:
                signal.signal(number, handler)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self._stopping:
            self.signal, self._signalled = number, now
            self._stopping = True
        elif now - self._signalled >= _SAME_SIGNAL:
            self._leaving = True

    def expect(self, transfer: Transfer, size: int | None, kept: int) -> None:
        """Tell what is known about a transfer before it begins. For ``move``.

        Args:
            transfer: The transfer.
            size: Its size in bytes, None if it is not known yet.
            kept: Bytes that an earlier run left behind; the first progress may report these.
        """
        self._kept[transfer] = kept
        if size is not None:
            self.display.expect(transfer, size)

    @property
    def running(self) -> int:
        """How many transfers were started and have not ended."""
        return len(self.begun) - len(self.ended)

    def run(self) -> None:
        """Run the transfers until all have ended, a signal arrives, the output fails or the store is unreachable."""
        began = time.monotonic()
        try:
            self._start_threads(_AT_ONCE)
            while self._is_at_work() and not self._stopping:
                used, looked = time.process_time(), time.monotonic()
                self._wait()
                if time.process_time() - used < _BUSY * (time.monotonic() - looked):
                    self._start_threads(len(self._threads))
        finally:
            self._stopping = True
        self._wait_for_all()
        self.seconds = time.monotonic() - began

    def _wait_for_all(self) -> None:
        """Give running transfers the time to end, and say what they need it for."""
        patience = self.direction.patience
        began = time.monotonic()
        said = False
        while self._is_at_work() and not self._leaving and (waited := time.monotonic() - began) < patience:
            if waited >= _SILENCE and not said:
                said = True
                say(f"waiting up to {patience:.0f} s for {self.direction.waiting}; Ctrl-C leaves at once")
            self._wait()

    def _start_threads(self, count: int) -> None:
        for _ in range(min(count, self.jobs - len(self._threads), len(self._waiting))):
            thread = threading.Thread(target=self._work, name="cdn-manager")
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        """Run one transfer after another, in a thread of its own."""
        while not self._stopping:
            try:
                transfer = self._waiting.popleft()
            except IndexError:
                return
            self.begun.add(transfer)
            began = time.monotonic()
            outcome: _Outcome
            try:
                self.display.begin(transfer)
                outcome = self.move(transfer, _Reports(self, transfer))
            except BaseException as error:
                outcome = error
            self.moving.note(transfer, "", time.monotonic())
            self._outcomes.append((transfer, outcome, time.monotonic() - began))

    def is_ending(self) -> bool:
        """Return True if running transfers are to end."""
        return self._stopping

    def count(self, transfer: Transfer, count: int, is_there: bool) -> None:
        """Count bytes of a transfer that have moved, or are there and need not be moved."""
        if count == self._kept.pop(transfer, None) or is_there:
            self.display.resume(transfer, count)
        else:
            self._received = True
            self.display.advance(transfer, count)

    def enter(self, transfer: Transfer, phase: str, read: int, size: int | None) -> None:
        """Take note of the phase of a transfer, and of its size."""
        self.moving.note(transfer, phase, time.monotonic())
        self.display.enter(transfer, phase, read)
        if size is not None:
            self.display.expect(transfer, size)

    def _is_at_work(self) -> bool:
        return bool(self._threads or self._outcomes)

    def _wait(self) -> None:
        """Wait a moment for the transfers, and record which have ended, all at once: a wake-up for each costs more."""
        if self._threads:
            self._threads[-1].join(_TICK)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        try:
            while self._outcomes:
                self._record(*self._outcomes.popleft())
            if self.signal is None:  # afterwards, there is no time left to show
                self.display.tick()
        except Exception as error:  # the display's: its output is closed or full
            self.error = error
            self.display = Display()
            self._stopping = True

    def _record(self, transfer: Transfer, outcome: _Outcome, seconds: float) -> None:
        self.ended.add(transfer)
        if not isinstance(outcome, BaseException):
            self.done[transfer] = outcome
            self.display.finish(transfer, outcome, seconds)
        elif not isinstance(outcome, Interrupted):
            self.failed[transfer] = outcome
            if _never_connected(outcome) and not self._answered():
                self.unreachable = True
                self._waiting.clear()  # every other file would spend all its attempts to find out the same
            self.display.fail(transfer, outcome)

    def _answered(self) -> bool:
        """Return True if this batch has received anything from the store, or sent anything to it."""
        refused = any(isinstance(error, ClientError) for error in self.failed.values())
        return self._received or bool(self.done) or refused


def _never_connected(error: BaseException) -> bool:
    """Return True if a transfer failed before it had a connection to the store."""
    if isinstance(error, OSError):
        return bool(error.filename == ca_bundle()[0])
    # Raised themselves for what has no class of its own, such as a proxy that cannot be used. The classes derived from
    # them are about a connection that was made.
    return isinstance(error, BotocoreConnectionError) or type(error) in (CDNError, HTTPClientError)
