"""Sockets of attempts: while one waits, its attempt pulses, whoever waits for it: the connection, a proxy, or TLS."""

import errno
import os
import socket
import ssl
import time
from typing import Any

from urllib3.util import wait_for_write

from cdn_engine.wire import attempt

__all__ = ["PlainSocket", "TLSContext", "TLSSocket"]

_CONNECTING = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}


class PlainSocket(socket.socket):
    """A TCP socket.

    Attributes:
        running: The attempt that uses it; None without one.
    """

    running: attempt.Attempt | None = None

    def connect(self, address: Any) -> None:
        if self.running is None:
            super().connect(address)
            return
        self.setblocking(False)
        failure = self.connect_ex(address)
        if failure in _CONNECTING:
            failure = self.running.wait(self, self._outcome)
        if failure:
            raise OSError(failure, os.strerror(failure))

    def _outcome(self) -> int:
        if not wait_for_write(self, self.gettimeout()):
            raise TimeoutError
        return self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        if self.running is None:
            return super().recv_into(buffer, nbytes, flags)
        return self.running.wait(self, super().recv_into, buffer, nbytes, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        if self.running is None:
            return super().send(data, flags)
        return self.running.wait(self, super().send, data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self.running is None:
            super().sendall(data, flags)
        else:
            _send_all(self, data, self.running)


class TLSSocket(ssl.SSLSocket):
    """A TLS socket.

    Attributes:
        running: The attempt that uses it; None without one.
    """

    running: attempt.Attempt | None = None

    def do_handshake(self, block: bool = False) -> None:
        if self.running is None:
            super().do_handshake(block)
        else:
            self.running.wait(self, super().do_handshake)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002 - what all of ssl's ``recv...`` call
        if self.running is None:
            return super().read(len, buffer)
        return self.running.wait(self, super().read, len, buffer)

    def send(self, data: Any, flags: int = 0) -> int:
        if self.running is None:
            return super().send(data, flags)
        return self.running.wait(self, super().send, data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self.running is None:
            super().sendall(data, flags)
        else:
            _send_all(self, data, self.running)


class TLSContext(ssl.SSLContext):
    """A context for clients, whose sockets belong to the attempt of the socket that they wrap."""

    def wrap_socket(self, sock: Any, *arguments: Any, **options: Any) -> TLSSocket:
        self.sslsocket_class = TLSSocket
        options["do_handshake_on_connect"] = False
        wrapped: Any = super().wrap_socket(sock, *arguments, **options)
        try:
            if sock.running is not None:
                sock.running.use(wrapped)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped  # type: ignore[no-any-return]


def _send_all(connection_socket: PlainSocket | TLSSocket, data: Any, running: attempt.Attempt) -> None:
    """Send what has to be taken whole within the attempt's timeout."""
    began, sent, timeout = time.monotonic(), 0, running.timeout
    with memoryview(data) as view:
        while sent < len(view):
            if sent and timeout is not None and time.monotonic() - began > timeout:
                raise TimeoutError("timed out")
            with view[sent:] as rest:  # none stays in a traceback, where it would hold the payload
                sent += connection_socket.send(rest)
