"""One request of a transfer: it is made once, and another thread can cut it at any stage."""

import contextlib
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["TICK", "Attempt", "Ended"]

Answer = TypeVar("Answer")

TICK = 0.05  # seconds between two pulses

_DROP_WHAT_IS_UNSENT = struct.pack("ii", 1, 0)  # SO_LINGER


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
            request, and is what the request raises.

    Attributes:
        timeout: Seconds that it may wait for the network at its present stage; None for any time.
        is_cut: True once it has been cut.
    """

    def __init__(self, read_timeout: float | None = None, pulse: Callable[[], object] | None = None) -> None:
        self.read_timeout = read_timeout
        self.pulse = pulse
        self.timeout: float | None = None
        self._lock = threading.Lock()  # so that no cut comes after ``leave``
        self._socket: Any = None
        self.is_cut = False

    def wait(self, connection_socket: Any, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """Call what may wait for a socket, at most ``timeout`` seconds. Pulse while it does.

        Args:
            connection_socket: The socket, whose timeout is set.
            call: Raises ``TimeoutError`` if the socket times out, and can be repeated then.
            arguments: Its arguments.

        Raises:
            TimeoutError: It took longer.
        """
        timeout = self.timeout
        tick = timeout if self.pulse is None else TICK if timeout is None else min(TICK, timeout)
        if connection_socket.gettimeout() != tick:
            connection_socket.settimeout(tick)
        try:
            return call(*arguments)
        except TimeoutError:
            if self.pulse is None:
                raise
        end = math.inf if timeout is None else time.monotonic() + timeout - min(TICK, timeout)
        while time.monotonic() < end:
            self.beat()
            with contextlib.suppress(TimeoutError):
                return call(*arguments)
        raise TimeoutError("timed out")

    def beat(self) -> None:
        """Pulse.

        Raises:
            Ended: The pulse has raised.
        """
        try:
            if self.pulse is not None:
                self.pulse()
        except BaseException as error:
            raise Ended(error) from None

    def use(self, connection_socket: Any) -> None:
        """Take note of the socket that the request uses from now on, also while it is still being connected.

        Raises:
            ConnectionAbortedError: The attempt has been cut.
        """
        self._socket = getattr(connection_socket, "socket", connection_socket)  # TLS inside the TLS of a proxy
        self._socket.running = self
        if self.is_cut:
            raise ConnectionAbortedError("the request was cut")

    def leave(self) -> None:
        """Take note that the connection is closed, or free for other requests, which a cut would hit from now on."""
        with self._lock:
            if self._socket is not None:
                self._socket.running = None
                self._socket = None

    def unacknowledged(self) -> int:
        """Return how many bytes the system has taken that have not arrived; 0 if it does not tell. Thread-safe."""
        with self._lock:
            return 0 if self._socket is None else _unacknowledged(self._socket)

    def cut(self) -> None:
        """End the request at whatever stage it is; what is still to be sent is dropped. Safe from another thread."""
        with self._lock:
            self.is_cut = True
            if self._socket is not None:
                _break(self._socket)


if sys.platform == "linux":
    import fcntl
    import termios

    def _unacknowledged(connection_socket: Any) -> int:
        with contextlib.suppress(OSError, ValueError):  # it has just been closed
            return int.from_bytes(fcntl.ioctl(connection_socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)  # tcp(7)
        return 0

else:

    def _unacknowledged(connection_socket: Any) -> int:
        return 0


def _break(connection_socket: Any) -> None:
    with contextlib.suppress(OSError):
        connection_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_WHAT_IS_UNSENT)
    with contextlib.suppress(OSError):
        # Not SSLSocket.shutdown, after which another thread would send and receive without TLS.
        socket.socket.shutdown(connection_socket, socket.SHUT_RDWR)
