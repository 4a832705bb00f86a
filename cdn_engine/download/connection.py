"""One connection of a download as the other threads see it: what it delivers, whether it stalls, and how it is cut."""

import time

from cdn_engine.download.plan import Span
from cdn_engine.wire.attempt import Attempt

__all__ = ["Connection"]

_STALL_RATE = 1024  # bytes a second; a connection slower than this for the read timeout is stalled


class Connection:
    """A connection that downloads one span, with as many attempts as that takes.

    Attributes:
        span: The bytes it downloads.
        failures: Failed attempts since the last progress.
        retried_at: Where the last failed attempt ended.
        attempt: The request under way.
        delivering: True while the body of its answer is being read.
        received: Bytes of that body so far, those to be skipped included.
        cut_off: Why the calling thread has cut the attempt; None if it has not.
    """

    def __init__(self, span: Span) -> None:
        self.span = span
        self.failures = 0
        self.retried_at = span.pos
        self.begin()

    def begin(self) -> None:
        """Begin a new attempt."""
        self.attempt = Attempt()
        self.delivering = False
        self.received = 0
        self.cut_off: str | None = None
        self.watch(time.monotonic())

    def watch(self, now: float) -> None:
        """Judge the connection by what it delivers from now on."""
        self._watched_at = now
        self._watched_bytes = self.received

    def cut_if_stalled(self, now: float, timeout: float) -> None:
        """Cut the attempt if it delivered next to nothing for ``timeout`` seconds."""
        if not self.delivering or now - self._watched_at < timeout:
            return
        if self.received - self._watched_bytes < _STALL_RATE * timeout:
            self.cut(f"received fewer than {_STALL_RATE} bytes a second for {timeout:g} s")
        self.watch(now)

    def cut(self, reason: str) -> None:
        """End the attempt from another thread."""
        # In this order: what is read from a TLS connection after the cut is ciphertext.
        self.cut_off = reason
        self.attempt.cut()
