"""The connections of a ``Session``: the running attempt knows which socket it uses, and no lock guards idle ones."""

import collections
import contextlib
import queue
import socket
from typing import Any

from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from cdn_engine.budget import CONNECTIONS
from cdn_engine.wire import attempt
from cdn_engine.wire.names import resolve
from cdn_engine.wire.sockets import PlainSocket

__all__ = ["HTTPPool", "HTTPSPool"]


class _Idle:
    """The idle connections of a pool, no more than transfers use: a queue, as urllib3 uses one, without a lock.

    The queue's own lock could be found held by nobody: after Ctrl-C in the middle of it, or in the child of a fork.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._connections: collections.deque[Any] = collections.deque()  # whose operations are atomic

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        try:
            return self._connections.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, connection: Any, block: bool = False, timeout: float | None = None) -> None:
        if connection is not None:  # urllib3's placeholder for a connection that is not open yet
            if connection.running is not None:
                connection.running.leave()
                connection.running = None
            if connection.is_unwanted:
                connection.close()
            else:
                self._connections.append(connection)
                self._close_surplus()

    def _close_surplus(self) -> None:
        while len(self._connections) > CONNECTIONS:
            with contextlib.suppress(IndexError):  # another thread has taken them
                self._connections.popleft().close()  # unused for longest


class _Connection(HTTPConnection):
    """Tells the running attempt which socket it uses."""

    running: attempt.Attempt | None = None  # whose request is under way
    is_unwanted = False  # the store has answered that it is busy: it may be this connection that is one too many

    def _new_conn(self) -> socket.socket:
        # As urllib3's own, which its SOCKS support replaces too; but the attempt knows the socket while it connects.
        failure: Exception = OSError("the name has no address")
        try:
            for family, kind, protocol, _, address in resolve(
                self._dns_host.strip("[]"), self.port, self.running
            ):
                try:
                    return self._connect(PlainSocket(family, kind, protocol), address)
                except OSError as error:
                    failure = error
        except socket.gaierror as error:
            raise exceptions.NameResolutionError(self.host, self, error) from error
        except (OSError, UnicodeError) as error:
            failure = error
        if isinstance(failure, TimeoutError):
            raise exceptions.ConnectTimeoutError(self, f"no connection within {self.timeout:g} s") from failure
        raise exceptions.NewConnectionError(self, f"no connection: {failure}") from failure

    def _connect(self, connection: PlainSocket, address: Any) -> PlainSocket:
        try:
            self._use(connection)
            for option in self.socket_options or ():
                connection.setsockopt(*option)
            connection.settimeout(self.timeout)
            connection.connect(address)
            return connection
        except BaseException:
            connection.close()
            raise

    def connect(self) -> None:
        super().connect()
        self._use(self.sock)

    def _use(self, connection: Any) -> None:
        if self.running is not None:
            self.running.use(connection)


class _TLSConnection(_Connection, HTTPSConnection):
    pass


class HTTPPool(HTTPConnectionPool):
    ConnectionCls: Any = _Connection
    QueueCls: Any = _Idle


class HTTPSPool(HTTPSConnectionPool):
    ConnectionCls: Any = _TLSConnection
    QueueCls: Any = _Idle
