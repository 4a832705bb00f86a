"""One request through a boto3 client without botocore's retries, which the engines' own retries replace.

Requests that are not made by an ``Attempt`` keep botocore's retries, but for those with a wrong region.
"""

import contextlib
import functools
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Attempt", "current", "register"]

_DROP_WHAT_IS_UNSENT = struct.pack("ii", 1, 0)  # SO_LINGER

# botocore would ask for the bucket's region, and repeat the request with that. A transfer does not: so that both agree,
# the region is for the user to correct. The first is the answer to HEAD, which has no body to say more.
_WRONG_REGION = frozenset({
    "400", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect",
})  # fmt: skip

_running = threading.local()


class Attempt:
    """A request that is made once, and that another thread can cut.

    Args:
        read_timeout: Seconds to wait for bytes of the answer; None for the client's own timeout.

    Attributes:
        read_timeout: See above.
        raw: The urllib3 response, once the head of the answer has arrived.
    """

    def __init__(self, read_timeout: float | None = None) -> None:
        self.read_timeout = read_timeout
        self.raw: Any = None
        self._lock = threading.Lock()  # so that no cut comes after ``leave``
        self._socket: Any = None
        self._is_cut = False

    def call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Call a method of a boto3 client in this thread, as this attempt."""
        _running.attempt = self
        try:
            return method(**arguments)
        finally:
            _running.attempt = None

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


def _break(connection_socket: Any) -> None:
    plain = getattr(connection_socket, "socket", connection_socket)  # TLS inside the TLS of a proxy
    with contextlib.suppress(OSError):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_WHAT_IS_UNSENT)
    with contextlib.suppress(OSError):
        # Not SSLSocket.shutdown, after which another thread would send and receive without TLS.
        socket.socket.shutdown(plain, socket.SHUT_RDWR)


def register(client: Any) -> None:
    """Keep botocore's handlers for retries and region redirects away from attempts."""
    client.meta.events.register_first("needs-retry.s3", functools.partial(_end_attempt, client.exceptions))


def _end_attempt(
    exceptions: Any, response: Any, caught_exception: BaseException | None, operation: Any, **_: Any
) -> None:
    """Raise here, before botocore's handlers run, the failure of an ``Attempt`` and any that a wrong region causes."""
    if caught_exception is not None:
        if current() is not None:
            raise caught_exception
        return
    http, parsed = response
    code = parsed.get("Error", {}).get("Code")
    if http.status_code >= 300 and (current() is not None or code in _WRONG_REGION):
        raise exceptions.from_code(code)(parsed, operation.name)
