"""Runs many transfers over one bounded pool of threads, the largest first."""

import concurrent.futures
import functools
import queue
import signal
import time
from typing import NamedTuple

__all__ = ["Batch", "Interrupted", "Transfer"]

# How long transfers may take to end after Ctrl-C, in seconds. A connection that moves no byte takes longer, and its
# process is then ended: what is on disk is made to survive that.
_PATIENCE = 2.0

_TICK = 0.1  # seconds between two looks of the main thread


class Transfer(NamedTuple):
    """One file to move.

    Attributes:
        key: The object's key.
        path: The local file.
        size: Its size in bytes, None if it is not known yet.
    """

    key: str
    path: str
    size: int | None


class Interrupted(Exception):
    """Ends a transfer from within its progress callback."""


class Batch:
    """A number of transfers, of which each may fail without the others.

    Args:
        move: Called with a ``Transfer`` and a progress callback, in a thread of the pool; returns the result.
        transfers: The transfers.
        jobs: How many may run at once.
        display: Is told what happens (cdn_progress).

    Attributes:
        done: The results of those that succeeded, by transfer.
        failed: The exceptions of those that did not, by transfer.
        interrupted: True after Ctrl-C.
        running: How many could not be ended after Ctrl-C.
        seconds: How long all of it took.
    """

    def __init__(self, move, transfers, jobs, display):
        self.move = move
        self.transfers = sorted(transfers, key=lambda transfer: transfer.size or 0, reverse=True)
        self.jobs = jobs
        self.display = display
        self.done = {}
        self.failed = {}
        self.interrupted = False
        self.running = 0
        self.seconds = 0.0

    def run(self):
        """Run all transfers, or what can be run of them until Ctrl-C. For the main thread."""
        began = time.monotonic()
        # A KeyboardInterrupt could come anywhere, also while one is dealt with. Who has ignored the signal keeps that.
        handler = signal.getsignal(signal.SIGINT)
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
        try:
            self._run_all()
        finally:
            signal.signal(signal.SIGINT, handler)
        self.seconds = time.monotonic() - began

    def _interrupt(self, *_):
        self.interrupted = True

    def _run_all(self):
        pool = concurrent.futures.ThreadPoolExecutor(min(self.jobs, len(self.transfers)), "cdn-manager")
        ended = queue.SimpleQueue()
        for transfer in self.transfers:
            future = pool.submit(self._run_one, transfer)
            future.add_done_callback(functools.partial(_put, ended, transfer))
        self.running = len(self.transfers)
        while self.running and not self.interrupted:
            self._wait_for_one(ended)
        pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + _PATIENCE
        while self.running and time.monotonic() < deadline:
            self._wait_for_one(ended)

    def _run_one(self, transfer):
        began = time.monotonic()
        told = False

        def progress(count):
            nonlocal told
            if self.interrupted and not told:
                told = True  # once: the engine reports again while it puts the partial in order
                raise Interrupted
            self.display.advance(transfer, count)

        if self.interrupted:
            raise Interrupted
        self.display.begin(transfer)
        result = self.move(transfer, progress)
        return result, time.monotonic() - began

    def _wait_for_one(self, ended):
        """Wait a moment for a transfer to end, and note how it did."""
        try:
            transfer, future = ended.get(timeout=_TICK)
        except queue.Empty:
            self.display.tick()
            return
        self.running -= 1
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            result, seconds = future.result()
            self.done[transfer] = result
            self.display.finish(transfer, result, seconds)
        elif not isinstance(error, Interrupted):
            self.failed[transfer] = error
            self.display.fail(transfer, error)


def _put(ended, transfer, future):
    ended.put((transfer, future))
