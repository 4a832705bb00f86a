"""One request of a download as the other threads see it: what it delivers, how long it is silent, and how it is cut."""

from cdn_engine.download.opening import Opened
from cdn_engine.download.span import Span
from cdn_engine.wire.attempt import Attempt

__all__ = ["Connection"]

_STALL_RATE = 1024  # bytes a second; a connection slower than this for the read timeout is stalled


class Connection:
    """A request for one span.

    Args:
        span: The bytes it asks for.
        transferred: Bytes that the download has received so far.
        given_up: How many times in a row requests without an answer have been cut.
        proven: True if its thread has received something before.
        opened: The request, if it has been made already.

    Attributes:
        span: The bytes it asks for.
        given_up: See above.
        proven: True if its thread has received something, also before.
        opened: See above.
        attempt: The request.
        aside: The request for the object's size, which the answer did not tell; None without one.
        began: When it was made.
        stop: The object's byte after the last of the answer's body; None if the answer does not tell it.
        delivering: True while the body of its answer is being read.
        received: Bytes of that body so far, those to be skipped included.
        written: Those of them that the file did not have yet.
        cut_off: Why the calling thread has cut the request; None if it has not.
    """

    def __init__(
        self,
        span: Span,
        transferred: int,
        given_up: int = 0,
        proven: bool = False,
        opened: Opened | None = None,
    ) -> None:
        self.span = span
        self.given_up = given_up
        self.proven = proven
        self.opened = opened
        self.attempt = Attempt() if opened is None else opened.attempt
        self.aside: Attempt | None = None
        self.began = span.began
        self.stop: int | None = None
        self.delivering = False
        self.received = self.written = 0
        self.cut_off: str | None = None
        self._transferred_before = transferred
        self._watch(self.began)

    def deliver(self, now: float) -> None:
        """Judge the connection by what it delivers from now on, as its body is being read."""
        self._watch(now)
        self.span.rate, self.span.moved_at = None, now
        self.delivering = True

    def received_beside(self, transferred: int) -> bool:
        """Return True if others have received bytes since this request began; ``transferred`` counts all bytes."""
        return transferred - self._transferred_before > self.received

    def cut_if_stalled(self, now: float, timeout: float) -> None:
        """Cut the request if it delivered next to nothing for ``timeout`` seconds."""
        if not self.delivering or now - self._watched_at < timeout:
            return
        if self.received - self._watched_bytes < _STALL_RATE * timeout:
            self.cut(f"received fewer than {_STALL_RATE} bytes a second for {timeout:g} s")
        self._watch(now)

    def cut_if_unanswered(self, now: float, patience: float) -> bool:
        """Cut the request if it has had no answer for ``patience`` seconds. Return whether this was done.

        The patience doubles each time that requests were cut: the store may just be slow.
        """
        if self.span.answered or self.cut_off is not None or now - self.began < patience * 2**self.given_up:
            return False
        self.cut(f"no answer for {now - self.began:.0f} s")
        return True

    def cut(self, reason: str) -> None:
        """End the request from another thread."""
        # In this order: what the thread reads after the cut is not to be believed.
        self.cut_off = reason
        self.end()

    def end(self) -> None:
        """End the request from another thread, as its span is no longer its own."""
        for attempt in filter(None, (self.attempt, self.aside)):
            attempt.cut()

    def _watch(self, now: float) -> None:
        self._watched_at = now
        self._watched_bytes = self.received
