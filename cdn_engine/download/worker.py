"""One thread with one connection: asks for a span, and writes what arrives at its place."""

import threading
import time
from io import FileIO
from typing import Any

from botocore.exceptions import ClientError

from cdn_engine.download.answer import Changed, Unranged
from cdn_engine.download.connection import Connection
from cdn_engine.download.judge import Judge
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import BLOCK
from cdn_engine.download.state import State
from cdn_engine.errors import StalledError, StoreProtocolError
from cdn_engine.wire import retry
from cdn_engine.wire.deadline import no_time_left
from cdn_engine.wire.pace import Pace

__all__ = ["Worker"]

_PROGRESS = 64 << 10  # bytes received that reset the number of failed attempts


class Worker(threading.Thread):
    """Downloads spans until none is left for it."""

    def __init__(self, remote: RemoteObject, state: State, partial: Partial, pace: Pace) -> None:
        super().__init__(name="cdn-download", daemon=True)
        self._remote = remote
        self._state = state
        self._partial = partial
        self._pace = pace
        self._judge = Judge(remote, state, partial)

    def run(self) -> None:
        try:
            with self._partial.open() as file:
                while (connection := self._state.take()) is not None:
                    self._download(connection, file)
        except Exception as error:
            self._state.fail(error)

    def _download(self, connection: Connection, file: FileIO) -> None:
        """Download one span, with as many attempts as make sense."""
        pause = 0.0
        while True:
            if not self._state.wait(max(pause, self._state.quiet_until - time.monotonic())):
                try:
                    self._attempt(connection, file)
                    pause = 0.0
                except Exception as error:
                    pause = self._after_failure(connection, error)
            if not self._state.retry_or_release(connection):
                return

    def _after_failure(self, connection: Connection, error: Exception) -> float:
        """Return the pause before the next attempt, or end the download with ``error``."""
        state, span, now = self._state, connection.span, time.monotonic()
        with state.lock:
            if state.ending:
                return 0.0
            if connection.cut_off is not None:
                error = StalledError(f"{self._remote.name}: {connection.cut_off}")
            if state.plan.size is not None and not state.resumable:
                state.plan.restart(span)
            elif span.pos - connection.retried_at >= _PROGRESS:
                connection.failures = 0
            connection.retried_at = span.pos
            connection.failures += 1
            state.failure = error
            if retry.is_busy(error):
                state.tuner.back_off(now, len(state.connections))
            pause = retry.delay(error, connection.failures, self._remote.name)
            if pause is None:
                state.fail(error)
                return 0.0
            state.quiet_until = max(state.quiet_until, now + retry.retry_after(error))
            if not state.deadline.allows(pause):
                state.fail(no_time_left(error, state.kept))
            return pause

    def _attempt(self, connection: Connection, file: FileIO) -> None:
        """Make one request for the rest of the span, and write what arrives."""
        state, span = self._state, connection.span
        connection.begin()
        arguments: dict[str, Any] = {}
        if state.plan.ranged:
            arguments["Range"] = f"bytes={span.pos}-{span.stop - 1}"
        if state.version.etag is not None and state.if_match:
            arguments["IfMatch"] = state.version.etag
        try:
            response = self._remote.get(connection.attempt, arguments)
        except ClientError as error:
            status = retry.status_of(error)
            if status == 412 and "IfMatch" in arguments:
                state.if_match = False  # replaced, or a store without ETags: the ETag of the next answer tells
                return
            if status == 416 and state.plan.ranged:
                raise (Unranged if state.plan.size is None else Changed)(str(error)) from error
            raise
        try:
            skip = self._judge.accept(connection, response)
            self._receive(connection, skip, file)
        finally:
            # Returns the connection to the pool if the body was read to its end, and drops it otherwise.
            response["Body"].close()

    def _receive(self, connection: Connection, skip: int, file: FileIO) -> None:
        """Write the body at its place, until the span or the body ends."""
        state, span, raw = self._state, connection.span, connection.attempt.raw
        file.seek(span.pos)
        while span.left and not state.ending:
            # read1 returns what is there: a slow connection is seen to move, and a broken one loses nothing.
            block = raw.read1(min(BLOCK, skip or span.left))
            amount = len(block)
            if state.ending or connection.cut_off is not None or not amount:
                raise StoreProtocolError(f"the body of {self._remote.name} ended at byte {span.pos}")
            if not skip:
                self._write(file, block)
            with state.lock:
                connection.received += amount
                state.transferred += amount
                if not skip:
                    state.plan.wrote(span, amount)
            skip = max(0, skip - amount)
            if self._pace.limited:
                self._keep_pace(connection, amount)

    def _write(self, file: FileIO, block: bytes) -> None:
        try:
            written = file.write(block)
            while written < len(block):
                written += file.write(memoryview(block)[written:])
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; {self._state.kept}", self._partial.final) from error

    def _keep_pace(self, connection: Connection, amount: int) -> None:
        def wait(seconds: float) -> bool:
            connection.delivering = False  # a paced connection is not stalled
            return self._state.wait(seconds)

        self._pace.keep(amount, connection, wait)
        if not connection.delivering:
            with self._state.lock:
                connection.watch(time.monotonic())
                connection.delivering = True
