"""A range that one connection downloads, and how fast it does. The time is an argument."""

import math

__all__ = ["Span"]

_MEMORY = 1.0  # seconds over which a rate is averaged


class Span:
    """The range of bytes that one connection downloads.

    Attributes:
        pos: The first byte that is not yet on disk.
        stop: The byte after the last.
        asked: The byte after the last that its request asks for.
        answered: True once the head of its answer has arrived.
        rate: Bytes a second lately; None before the first byte, also the first after a pause for a bandwidth limit.
        moved_at: When the last byte arrived, in seconds; or when the connection began, or its pause ended.
    """

    __slots__ = ("_looked_at", "_seen", "answered", "asked", "began", "moved_at", "pos", "rate", "start", "stop")

    def __init__(self, pos: int, stop: int, now: float) -> None:
        self.start = self.pos = self._seen = pos
        self.stop = self.asked = stop
        self.answered = False
        self.rate: float | None = None
        self.began = self.moved_at = self._looked_at = now

    @property
    def left(self) -> int:
        return self.stop - self.pos

    def look(self, now: float) -> float:
        """Bring the rate up to date. Return the length of the silence that has ended, in seconds; 0.0 if none has."""
        seconds, amount = now - self._looked_at, self.pos - self._seen
        if seconds <= 0 or (self.rate is None and not amount):
            return 0.0
        present, before = max(0, amount) / seconds, self.rate
        keep = 0.0 if before is None else math.exp(-seconds / _MEMORY)
        self.rate = keep * (before or 0.0) + (1 - keep) * present
        self._looked_at, self._seen = now, self.pos
        if not amount:
            return 0.0
        silence, self.moved_at = now - self.moved_at, now
        return silence if before is not None else 0.0
