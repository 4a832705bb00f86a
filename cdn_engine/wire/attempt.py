"""One request of a transfer: it is made once, and another thread can cut it at any stage."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

__all__ = ["Attempt", "Ended", "current", "set_aside"]

Answer = TypeVar("Answer")

_TICK = 0.05  # seconds between two pulses

_DROP_WHAT_IS_UNSENT = struct.pack("ii", 1, 0)  # SO_LINGER

_running = threading.local()


class Ended(BaseException):
    """A pulse has raised; told apart from what the connection raises, and passed on by nobody but the session.

    Attributes:
        reason: What it has raised.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason


class Attempt:
    """A request that is made once.

    Args:
        read_timeout: Seconds to wait for bytes of the answer; None for the client's own timeout.
        pulse: Called in the request's thread about 20 times a second while nothing moves. An exception in it ends the
            request.

    Within its ``with`` block, it is the request that this thread makes.
    """

    def __init__(self, read_timeout: float | None = None, pulse: Callable[[], object] | None = None) -> None:
        self.read_timeout = read_timeout
        self.pulse = pulse
        self._lock = threading.Lock()  # so that no cut comes after ``leave``
        self._socket: Any = None
        self._is_cut = False

    def __enter__(self) -> Self:
        _running.attempt = self
        return self

    def __exit__(self, *_: object) -> None:
        _running.attempt = None

    def arm(self, connection_socket: Any, timeout: float | None) -> None:
        """Set a socket's timeout, in seconds, so that ``wait`` can pulse."""
        connection_socket.settimeout(timeout if self.pulse is None else _TICK)

    def wait(self, call: Callable[[], Answer], timeout: float | None) -> Answer:
        """Call what may wait for an armed socket. Pulse while it does.

        Args:
            call: Raises ``TimeoutError`` if the socket times out, and can be repeated then.
            timeout: Seconds that it may take; None for any time.

        Raises:
            TimeoutError: It took longer.
        """
        end: float | None = None
        while True:
            try:
                return call()
            except TimeoutError:
                if self.pulse is None:
                    raise
                now = time.monotonic()
                end = now - _TICK + timeout if end is None and timeout is not None else end
                if end is not None and now >= end:
                    raise
            try:
                self.pulse()
            except BaseException as error:
                raise Ended(error) from None

    def use(self, connection_socket: Any) -> None:
        """Take note of the socket that the request uses from now on, also while it is still being connected.

        Raises:
            ConnectionAbortedError: The attempt has been cut.
        """
        self._socket = connection_socket
        if self._is_cut:
            raise ConnectionAbortedError("the request was cut")

    def leave(self) -> None:
        """Take note that the connection is free for other requests, which a cut would hit from now on."""
        with self._lock:
            self._socket = None

    def cut(self) -> None:
        """End the request at whatever stage it is; what is still to be sent is dropped. Safe from another thread."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                _break(self._socket)


def current() -> Attempt | None:
    """Return the attempt that this thread is making; None if its request is none."""
    return getattr(_running, "attempt", None)


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Within the block, which a pulse runs, requests of this thread do not belong to the attempt that it is making."""
    attempt = current()
    _running.attempt = None
    try:
        yield
    finally:
        _running.attempt = attempt


def _break(connection_socket: Any) -> None:
    plain = getattr(connection_socket, "socket", connection_socket)  # TLS inside the TLS of a proxy
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_WHAT_IS_UNSENT)
    with contextlib.suppress(OSError):
        # Not SSLSocket.shutdown, after which another thread would send and receive without TLS.
        socket.socket.shutdown(plain, socket.SHUT_RDWR)
