"""Sends one request over one connection, and reads its answer."""

import errno
import http.client
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cdn_engine.wire.reply import Reply
from cdn_engine.wire.attempt import Attempt, Ended
from cdn_engine.wire.failures import NETWORK_FAILURES

__all__ = ["Stream", "exchange"]

# A store may answer, and close the connection, before it has read a request: then its answer is still to be had.
_CLOSED = {errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE}  # the last is macOS'


def exchange(
    connection: Any,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: Iterable[Any],
    running: Attempt,
) -> Reply:
    """Send a request. Return the answer, whose body is still to be read.

    Args:
        connection: An open connection, of a ``Session``.
        method: HTTP's method.
        target: What stands in the request line.
        headers: The request's headers, but for ``Host``.
        body: The body, piece by piece: bytes-like objects.
        running: The attempt that this is.

    Raises:
        OSError, http.client.HTTPException: The connection broke, or what answers does not speak HTTP.
    """
    running.arm(connection.sock, connection.timeout)
    try:
        connection.putrequest(method, target)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        for piece in body:
            _send(connection.sock, piece, running, connection.timeout)
    except OSError as error:
        if error.errno not in _CLOSED:
            raise
        connection.is_unwanted = True
    running.arm(connection.sock, running.read_timeout)
    answer: Reply = http.client.HTTPConnection.getresponse(connection)  # type: ignore[assignment]
    return answer


def _send(connection_socket: Any, piece: Any, running: Attempt, timeout: float | None) -> None:
    """Send a piece, which has to be taken whole within ``timeout`` seconds."""
    began, sent = time.monotonic(), 0
    while sent < len(piece):
        if sent and timeout is not None and time.monotonic() - began > timeout:
            raise TimeoutError("timed out")
        sent += running.wait(lambda: connection_socket.send(piece[sent:]), timeout)  # noqa: B023 - called at once


class Stream:
    """The body of an answer.

    Args:
        answer: The answer.
        give_back: Called once, when it is closed, with True if the connection can serve another request.
        broken: Returns what to raise for a failure of the connection.

    Thread-safety: for one thread.
    """

    def __init__(
        self, answer: Reply, give_back: Callable[[bool], object], broken: Callable[[Exception], Exception]
    ) -> None:
        self._answer = answer
        self._give_back = give_back
        self._broken = broken
        self._left: int | None = None if answer.chunked else answer.length
        self._closed = False

    def readinto(self, buffer: memoryview) -> int:
        """Read what there is, and wait for it if there is nothing. Return the number of bytes; 0 at the end.

        Raises:
            botocore.exceptions.BotoCoreError: The connection broke.
        """
        try:
            if self._left is None:
                block = self._answer.read1(len(buffer))
                buffer[:len(block)] = block
                return len(block)
            if not self._left:
                return 0
            # Straight into the buffer; the answer's own ``readinto`` would wait until it is full.
            count: int = self._answer.fp.readinto1(buffer[:self._left])  # type: ignore[attr-defined]
        except Ended as error:
            raise error.reason from None
        except NETWORK_FAILURES as error:
            raise self._broken(error) from None
        self._left -= count
        return count

    def read(self) -> bytes:
        """Read all of it, and close it."""
        try:
            return self._answer.read()
        except Ended as error:
            raise error.reason from None
        except NETWORK_FAILURES as error:
            raise self._broken(error) from None
        finally:
            if self._answer.isclosed():
                self._left = 0
            self.close()

    def close(self) -> None:
        """Let go of the connection: another request may use it if the body was read to its end."""
        if self._closed:
            return
        self._closed = True
        is_whole = self._left == 0 or self._answer.isclosed()
        self._answer.close()
        self._give_back(is_whole)
