"""One thread with one connection: asks for a span, and writes what arrives at its place."""

import threading
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from cdn_engine.download.answer import Changed, Unranged
from cdn_engine.download.connection import Connection
from cdn_engine.download.judge import Judge
from cdn_engine.download.partial import Partial
from cdn_engine.download.receiver import Receiver
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.state import State
from cdn_engine.errors import NotAStoreError, StalledError, StoreProtocolError, lacks_descriptors
from cdn_engine.wire import retry
from cdn_engine.wire.deadline import no_time_left

__all__ = ["Worker"]

_PROGRESS = 64 << 10  # bytes written that reset the number of failed attempts

# Failures of one connection, which say nothing about the others.
_OF_ONE_CONNECTION = (ClientError, BotoCoreError, HTTPError, NotAStoreError, StalledError, StoreProtocolError)


class Worker(threading.Thread):
    """Downloads spans until none is left for it.

    A span is given back after each request, so that no range waits for a connection that has to wait.
    """

    def __init__(self, remote: RemoteObject, state: State, partial: Partial) -> None:
        super().__init__(name="cdn-download", daemon=True)
        self._remote = remote
        self._state = state
        self._partial = partial
        self._judge = Judge(remote, state, partial)
        self._failures = 0  # failed requests in a row without progress
        self._proven = False  # it has received something

    def run(self) -> None:
        state = self._state
        try:
            with self._partial.open() as file:
                receiver = Receiver(state, self._partial, file)
                while (connection := state.take(self._proven)) is not None:
                    pause = self._download(connection, receiver)
                    state.release(connection)
                    if pause:
                        state.wait(pause)
        except Exception as error:
            if lacks_descriptors(error) and state.connections:
                state.refuse(len(state.connections))
            else:
                state.fail(error)

    def _download(self, connection: Connection, receiver: Receiver) -> float:
        """Make one request for a span. Return the seconds to wait before the next one."""
        try:
            self._request(connection, receiver)
        except Exception as error:
            return self._after_failure(connection, error)
        self._failures, self._proven = 0, True
        return 0.0

    def _after_failure(self, connection: Connection, error: Exception) -> float:
        """Return the seconds to wait before the next request, or end the download with ``error``."""
        state = self._state
        with state.lock:
            if state.ending or not connection.span.left:
                return 0.0
            if connection.cut_off is not None:
                error = StalledError(connection.cut_off)
            if not state.resumable:
                state.plan.restart(connection.span)
            elif connection.written >= _PROGRESS:
                self._failures, self._proven = 0, True
            state.failure = error
            if self._is_surplus(connection, error):
                state.refuse(len(state.connections) - 1, retry.retry_after(error))
                return 0.0
            self._failures += 1
            if state.failing_since is None:
                state.failing_since = time.monotonic()
            pause = retry.delay(error, self._failures, self._remote.name)
            if pause is None:
                state.fail(error)
                return 0.0
            if self._failures == 1 and connection.written >= _PROGRESS:
                return retry.retry_after(error)  # on a link that breaks after so many bytes, pauses would add up
            if not state.deadline.allows(pause):
                state.fail(no_time_left(error, state.kept))
            return pause

    def _is_surplus(self, connection: Connection, error: Exception) -> bool:
        """Return True if the download goes on without this connection, which failed while others carry it."""
        return (
            (self._failures > 0 or not self._proven or isinstance(error, ClientError))
            and connection.written < _PROGRESS
            and isinstance(error, _OF_ONE_CONNECTION)
            and self._state.is_carried_by_others(connection)
        )

    def _request(self, connection: Connection, receiver: Receiver) -> None:
        """Make one request for the span, and write what arrives."""
        state, span = self._state, connection.span
        arguments: dict[str, Any] = {}
        if state.plan.ranged:
            arguments["Range"] = f"bytes={span.pos}-{span.stop - 1}"
        if state.version.etag is not None and state.if_match:
            arguments["IfMatch"] = state.version.etag
        try:
            receiver.attend(connection)
            opened = connection.opened
            response = self._remote.get(connection.attempt, arguments) if opened is None else opened.response
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
            receiver.receive(connection, response["Body"], skip)
        finally:
            # Returns the connection to the pool if the body was read to its end, and drops it otherwise.
            response["Body"].close()
