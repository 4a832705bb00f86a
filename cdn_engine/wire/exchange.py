"""Sends one request over one connection, and reads its answer."""

import errno
import http.client
import io
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cdn_engine.wire.attempt import Attempt, Ended
from cdn_engine.wire.failures import NETWORK_FAILURES
from cdn_engine.wire.reply import Reply

__all__ = ["Stream", "exchange", "head_of"]

# A store may answer, and close the connection, before it has read a request: then its answer is still to be had.
_CLOSED = {errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE}  # the last is macOS'

# Bytes that Python may have read beyond the head. If a larger read were to wait after it has taken these, and a pulse
# raised, they would be lost, and whoever reads on would get the rest at the wrong place.
_READ_AHEAD = io.DEFAULT_BUFFER_SIZE


def head_of(method: str, target: str, headers: Mapping[str, str]) -> memoryview:
    """Return the head of a request: a view, as a traceback that shows variables would show the text.

    Args:
        method: HTTP's method.
        target: What stands in the request line.
        headers: The request's headers.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return memoryview("\r\n".join([*lines, "Accept-Encoding: identity", "", ""]).encode())


def exchange(
    connection: Any, method: str, head: memoryview, body: Iterable[Any], running: Attempt, read_timeout: float | None
) -> Reply:
    """Send a request. Return the answer, whose body is still to be read.

    Args:
        connection: An open connection, of a ``Session``.
        method: HTTP's method.
        head: The head of the request.
        body: The body, piece by piece: bytes-like objects. Each has to be taken whole within the attempt's timeout.
        running: The attempt that this is.
        read_timeout: Seconds to wait for bytes of the answer, unless the attempt has a read timeout; None for any time.

    Raises:
        OSError, http.client.HTTPException: The connection broke, or what answers does not speak HTTP.
    """
    try:
        connection.sock.sendall(head)
        for piece in body:
            connection.sock.sendall(piece)
    except OSError as error:
        if error.errno not in _CLOSED and not isinstance(error, ssl.SSLEOFError):
            raise
        connection.is_unwanted = True
    running.timeout = running.read_timeout if running.read_timeout is not None else read_timeout
    answer = Reply(connection.sock, method=method)
    try:
        answer.begin()
    except BaseException:
        answer.close()
        raise
    return answer


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
        self._may_be_ahead = True

    def readinto(self, buffer: memoryview) -> int:
        """Read what there is, and wait for it if there is nothing. Return the number of bytes; 0 at the end.

        Raises:
            botocore.exceptions.BotoCoreError: The connection broke.
        """
        try:
            if self._left is None:
                block = self._answer.read1(len(buffer))
                if len(block) > len(buffer):
                    raise http.client.IncompleteRead(b"")  # the size of a chunk is negative
                buffer[:len(block)] = block
                return len(block)
            if not self._left:
                return 0
            # Straight into the buffer; the answer's own ``readinto`` would wait until it is full.
            room = buffer[:self._left][:_READ_AHEAD if self._may_be_ahead else None]
            count: int = self._answer.fp.readinto1(room)
            self._may_be_ahead = len(room) < _READ_AHEAD
        except Ended as error:
            raise error.reason from error.reason.__cause__
        except NETWORK_FAILURES as error:
            raise self._broken(error) from None
        self._left -= count
        return count

    def read(self) -> bytes:
        """Read all of it, and close it."""
        try:
            return self._answer.read()
        except Ended as error:
            raise error.reason from error.reason.__cause__
        except (*NETWORK_FAILURES, ValueError) as error:  # the last for a negative size of a chunk
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
