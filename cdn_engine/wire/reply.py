"""The answer to a request, as the standard library reads it, over a socket that its request may be waiting for."""

import http.client
import io
from typing import Any

from cdn_engine.wire import attempt

__all__ = ["Reply"]


class Reply(http.client.HTTPResponse):
    """The head and the body of an answer. While it waits for bytes, the request that it belongs to pulses."""

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(_Tap(sock, attempt.current()), *arguments, **options)  # type: ignore[arg-type]


class _Tap(io.RawIOBase):
    """What arrives at a socket. It holds the socket open, as a file made of it would."""

    def __init__(self, connection_socket: Any, running: attempt.Attempt | None) -> None:
        self._socket = connection_socket
        self._running = running
        self._held = connection_socket.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        running = self._running
        if running is None or running.pulse is None:
            return int(self._socket.recv_into(buffer))
        return int(running.wait(lambda: self._socket.recv_into(buffer), running.read_timeout))

    def close(self) -> None:
        super().close()
        self._held.close()
