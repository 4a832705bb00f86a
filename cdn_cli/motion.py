"""How far a transfer has come, and how fast it moves: numbers in, with the time as an argument."""

import threading
from collections import deque

from cdn_engine.phases import RECEIVING, SENDING

__all__ = ["Motion", "MovingTime", "is_moving"]

_WINDOW = 10.0  # seconds over which the rate is taken: long enough for bursts, short enough to follow a changing link
_SHORTEST = 0.5  # seconds; the rate of less than that says little


def is_moving(phase: str) -> bool:
    """Return True if bytes move over the network in this phase."""
    return phase in (SENDING, RECEIVING)


class Motion:
    """The state of one transfer, or of all of them.

    Args:
        size: Bytes to be there at the end; None if that is not known.

    Attributes:
        size: See above.
        bytes: How many are there, those of an earlier run included.
        resumed: How many of them are an earlier run's.
        moved: Bytes that have moved, those that have to be moved again included.
        phase: What it is doing, one of ``cdn_engine.phases``.
        read: Bytes that have been read in this phase.
        since: When the phase began.
        complete_since: When all bytes were found to be there; None as long as they are not.

    Thread-safety: ``resume`` and ``advance`` need the caller's lock.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self.bytes = self.resumed = self.moved = self.read = 0
        self.phase = ""
        self.since = 0.0
        self.complete_since: float | None = None
        self._active = 0.0  # seconds spent moving
        self._looked_at: float | None = None
        self._samples: deque[tuple[float, int]] = deque()  # of ``_active`` and ``moved``

    def resume(self, count: int) -> None:
        """Count bytes that are there and need not be moved."""
        self.bytes += count
        self.resumed += count

    def advance(self, count: int) -> None:
        """Count bytes that have moved; negative if some have to be moved again."""
        self.bytes += count
        self.moved += max(0, count)

    def enter(self, phase: str, read: int, now: float) -> None:
        """Take note of the phase, and how much has been read in it."""
        if phase != self.phase:
            self.look(now)
            self.phase, self.since = phase, now
        self.read = read

    def look(self, now: float) -> None:
        """Take a sample for the rate. Only time in which bytes may move counts."""
        if self._looked_at is not None and is_moving(self.phase):
            self._active += now - self._looked_at
        self._looked_at = now
        if self._samples and not self._samples[-1][1]:
            self._samples.clear()  # the time before the first byte says nothing about the rate
        self._samples.append((self._active, self.moved))
        while len(self._samples) > 1 and self._samples[1][0] <= self._active - _WINDOW:
            self._samples.popleft()
        if not self.is_complete:
            self.complete_since = None
        elif self.complete_since is None:
            self.complete_since = now

    @property
    def rate(self) -> float | None:
        """Bytes a second over the last seconds in which bytes could move; None if that is not known."""
        if not self._samples:
            return None
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return (after - before) / (ended - began) if ended - began >= _SHORTEST else None

    @property
    def left(self) -> float | None:
        """Seconds until all bytes are there, at this rate; None if that is not known."""
        rate = self.rate
        return max(0, self.size - self.bytes) / rate if rate and self.size is not None else None

    @property
    def is_complete(self) -> bool:
        """True if all bytes are there, so that what remains is to finish."""
        return self.size is not None and 0 < self.size <= self.bytes


class MovingTime:
    """How long at least one of several transfers has moved bytes.

    Thread-safety: safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moving: set[object] = set()
        self._since = 0.0
        self._seconds = 0.0

    def note(self, transfer: object, phase: str, now: float) -> None:
        """Take note of the phase of a transfer; an empty one when it has ended."""
        with self._lock:
            if self._moving:
                self._seconds += now - self._since
            self._since = now
            if is_moving(phase):
                self._moving.add(transfer)
            else:
                self._moving.discard(transfer)

    def seconds(self, now: float) -> float:
        """Return the seconds until now."""
        with self._lock:
            return self._seconds + (now - self._since if self._moving else 0.0)
