"""Receives the body of an answer into memory, and writes it to its place in large pieces."""

import time
from io import FileIO

from cdn_engine.download.connection import Connection
from cdn_engine.download.partial import Partial
from cdn_engine.download.settings import BLOCK
from cdn_engine.download.state import State
from cdn_engine.errors import StoreProtocolError
from cdn_engine.wire.exchange import Stream

__all__ = ["Receiver"]

_LONGEST = 0.05  # seconds between two writes: a slow connection is seen to move, and loses little


class Receiver:
    """The buffer of one connection. It is filled before it is written: TLS hands out no more than 16 KiB at a time.

    Args:
        state: The download's shared state.
        partial: The file.
        file: A handle of the file, for this connection alone.

    Thread-safety: for one thread.
    """

    def __init__(self, state: State, partial: Partial, file: FileIO) -> None:
        self._state = state
        self._partial = partial
        self._file = file
        self._buffer = memoryview(bytearray(BLOCK))
        self._written = self._filled = 0  # how many of its bytes are on disk, and how many have come
        self._paid = 0  # how many of the bytes to come have kept the limit before
        self._flushed_at = 0.0
        self._cpu = time.thread_time()

    def attend(self, connection: Connection) -> None:
        """Get ready for the answer to a request, which is about to be made."""
        self._written = self._filled = 0
        connection.attempt.pulse = lambda: self._flush(connection)

    def receive(self, connection: Connection, body: Stream, skip: int) -> None:
        """Write a body, until the span or the body ends. What came before a failure is written too.

        Args:
            connection: The request.
            body: The body.
            skip: How many of its first bytes the file has already.
        """
        state, span = self._state, connection.span
        self._file.seek(span.pos)
        self._paid = 0 if connection.opened is None else connection.opened.read_before
        try:
            while span.left and not state.ending:
                limit = min(BLOCK, self._written + (skip or span.left))
                count = 0
                if self._filled < limit:
                    count = self._read(connection, body, limit)
                    if not count:
                        self._flush(connection)
                        self._end_of_body(connection)
                        return
                if skip:
                    skip -= count
                    self._count(connection, count)
                    self._filled = 0
                elif self._filled >= limit or time.monotonic() - self._flushed_at >= _LONGEST:
                    self._empty(connection)
                if state.pace.is_limited:
                    self._keep_pace(connection, count)
        finally:
            self._flush(connection)

    def _read(self, connection: Connection, body: Stream, limit: int) -> int:
        count = body.readinto(self._buffer[self._filled:min(limit, self._filled + self._state.pace.piece)])
        if self._state.ending or connection.cut_off is not None:
            raise StoreProtocolError("the request was cut")  # and what was read is not to be believed
        self._filled += count
        return count

    def _flush(self, connection: Connection) -> None:
        """Write what has come; also while more is being read into the rest of the buffer."""
        block = self._buffer[self._written:self._filled]
        self._written = self._filled
        if block:
            self._write(block)
            self._count(connection, len(block), len(block))

    def _empty(self, connection: Connection) -> None:
        """Write what has come, and begin anew; hand the buffer to the digest if all of it comes next there."""
        start, is_whole = connection.span.pos, not self._written
        block = self._buffer[self._written:self._filled]
        self._written = self._filled = 0
        self._write(block)
        amount = self._count(connection, len(block), len(block))
        if is_whole:
            with self._state.lock:
                if self._state.hasher is not None:
                    self._buffer = self._state.hasher.exchange(start, self._buffer, amount)

    def _count(self, connection: Connection, received: int, written: int = 0) -> int:
        """Count received bytes, and those of them that are new on disk. Return how many of these the span still had."""
        state, cpu = self._state, time.thread_time()
        with state.lock:
            connection.received += received
            connection.proven = True
            state.transferred += received
            state.failing_since = None
            state.cpu += cpu - self._cpu
            connection.written += written
            amount = state.plan.wrote(connection.span, written)
        self._cpu, self._flushed_at = cpu, time.monotonic()
        return amount

    def _write(self, block: memoryview) -> None:
        try:
            while block:
                block = block[self._file.write(block):]
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; {self._state.kept}", self._partial.final) from error

    def _end_of_body(self, connection: Connection) -> None:
        """Take the end of the body for the object's end if that was not known; it is too early otherwise."""
        pos = connection.span.pos
        if connection.stop == pos:
            return  # a shorter range than was asked for, but whole
        if self._state.plan.size is not None:
            raise StoreProtocolError(f"the body ended at byte {pos}")
        self._partial.reserve(pos)
        with self._state.lock:
            self._state.plan.end_at(pos)

    def _keep_pace(self, connection: Connection, amount: int) -> None:
        def wait(seconds: float) -> None:
            connection.delivering = False  # a paced connection is not stalled
            self._state.wait(seconds)

        paid = min(amount, self._paid)
        self._paid -= paid
        self._state.pace.keep(amount - paid, wait)
        if not connection.delivering:
            with self._state.lock:
                connection.deliver(time.monotonic())
