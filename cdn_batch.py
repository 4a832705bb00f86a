"""Runs many transfers over one bounded pool of threads, the largest first."""

import concurrent.futures
import functools
import queue
import signal
import time
from typing import NamedTuple

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from cdn_progress import Display

__all__ = ["Batch", "Interrupted", "Transfer"]

# What ends a process from outside: Ctrl-C, a service manager or a shutdown, a terminal or a connection that closes.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

# How long transfers may take to end after a signal, in seconds. A connection that moves no byte takes longer, and its
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

    Within its ``with`` block, a signal that asks the process to end ends ``run`` instead, and another one does nothing:
    the caller tells how it ended before the block is left. For the main thread.

    Args:
        move: Called with a ``Transfer`` and a progress callback, in a thread of the pool; returns the result.
        transfers: The transfers.
        jobs: How many may run at once.
        display: Is told what happens (cdn_progress).

    Attributes:
        done: The results of those that succeeded, by transfer.
        failed: The exceptions of those that did not, by transfer.
        begun: The transfers that were tried.
        signal: The number of the signal that has interrupted it, or None.
        unreachable: True if it was given up since nothing answered.
        error: The exception of the display that has ended it, or None.
        running: How many could not be ended.
        seconds: How long all of it took.
    """

    def __init__(self, move, transfers, jobs, display):
        self.move = move
        self.transfers = sorted(transfers, key=lambda transfer: transfer.size or 0, reverse=True)
        self.jobs = jobs
        self.display = display
        self.done = {}
        self.failed = {}
        self.begun = set()
        self.signal = None
        self.unreachable = False
        self.error = None
        self.running = 0
        self.seconds = 0.0
        self._left_behind = {}
        self._received = False  # a byte of any transfer has crossed the network
        self._stopping = False

    def __enter__(self):
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in self._handlers.items():
            # Who has ignored the signal, as nohup does, keeps that. An exception could come anywhere, also while
            # another one is dealt with.
            if handler in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._interrupt:
                signal.signal(number, handler)

    def _interrupt(self, number, _):
        if not self._stopping:
            self.signal = number
            self._stopping = True

    def expect(self, transfer, size, left_behind):
        """Tell what is known of a transfer before it begins. For ``move``.

        Args:
            transfer: The transfer.
            size: Its size in bytes, None if it is not known.
            left_behind: How many bytes an earlier call has left; the first progress may be these.
        """
        self._left_behind[transfer] = left_behind
        self.display.expect(transfer, size)

    def run(self):
        """Run all transfers, or what can be run of them until a signal comes, the output fails or nothing answers."""
        began = time.monotonic()
        pool = concurrent.futures.ThreadPoolExecutor(min(self.jobs, len(self.transfers)), "cdn-manager")
        ended = queue.SimpleQueue()
        try:
            for transfer in self.transfers:
                future = pool.submit(self._run_one, transfer)
                self.running += 1
                future.add_done_callback(functools.partial(_put, ended, transfer))
            while self.running and not self._stopping:
                self._wait_for_one(ended)
                if self.unreachable:
                    pool.shutdown(wait=False, cancel_futures=True)
        finally:
            self._stopping = True
            pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + _PATIENCE
        while self.running and time.monotonic() < deadline:
            self._wait_for_one(ended)
        self.seconds = time.monotonic() - began

    def _run_one(self, transfer):
        began = time.monotonic()
        told = False

        def progress(count):
            nonlocal told
            if self._stopping and not told:
                told = True  # once: the engine reports again while it puts the partial in order
                raise Interrupted
            if count == self._left_behind.pop(transfer, None):
                self.display.resume(transfer, count)
            else:
                self._received = True
                self.display.advance(transfer, count)

        if self._stopping:
            raise Interrupted
        self.begun.add(transfer)
        self.display.begin(transfer)
        result = self.move(transfer, progress)
        return result, time.monotonic() - began

    def _wait_for_one(self, ended):
        """Wait a moment for a transfer to end, and note how it did."""
        try:
            self._note_one(ended)
        except Exception as error:  # of the display: its output is closed or full
            self.error = error
            self.display = Display()
            self._stopping = True

    def _note_one(self, ended):
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
            # Each file would take all its attempts to find out the same.
            self.unreachable |= _never_connected(error) and not self._answered()
            self.display.fail(transfer, error)

    def _answered(self):
        """Return True if anything in this batch has come from the store, or gone there."""
        return self._received or self.done or any(isinstance(error, ClientError) for error in self.failed.values())


def _never_connected(error):
    """Return True if a transfer failed before there was a connection to the store."""
    # HTTPClientError itself is what botocore makes of the rest, such as a CA bundle that is missing. Those derived from
    # it are about a connection.
    return isinstance(error, BotocoreConnectionError) or type(error) is HTTPClientError


def _put(ended, transfer, future):
    ended.put((transfer, future))
