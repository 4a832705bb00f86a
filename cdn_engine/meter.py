"""Measures how fast a transfer is, for the tuner. The clock and the counts come in as arguments.

What takes time is a generator: each ``yield`` waits for the next observation.
"""

import math
from collections import deque
from collections.abc import Generator

__all__ = ["Meter", "Rate", "Steps"]

Steps = Generator[None, None, None]
Rate = Generator[None, None, float]  # returns bytes a second

_LOOK = 0.1  # seconds of which the first rate is taken
_LONGEST_LOOK = 0.3  # seconds of which a rate is taken that is wanted soon, but for a longer latency
_SILENT = 0.5  # seconds in which nothing moves, twice in a row, are a rate of 0 then
_SLOW_START = 2  # round trips in which a rate says little

# What further connections bring shows only once they are open and their windows have grown.
_GROWING = 0.1  # seconds, beside so many round trips,
_GROWING_LATENCIES = 4
_GROWS = 1.25  # and as long again after each growth by this factor

# A rate is measured once the connections have settled, for a time that evens out latency, slow start and bursts: twice
# the half that is given here, and longer while it still rises.
_SETTLE = 0.3  # seconds, but at least so many round trips
_SETTLE_LATENCIES = 2
_HALF = 0.5  # seconds, but at least so many round trips, and so many times the longest time without a byte
_HALF_LATENCIES = 2
_HALF_GAPS = 2
_RISES = 1.1  # the factor from one half to the next by which a rate still rises
_LONGEST_RISE = 12  # halves; the windows of slow start double in each of them at least twice
_OPENING = 5.0  # seconds that are waited for new connections


class Meter:
    """The rate of a transfer.

    Args:
        now: The time in seconds.
        moved: Bytes that the transfer has moved so far.

    Attributes:
        now: The time of the last observation, in seconds.
        began: When the first byte had moved.
        left: Bytes that are still to be moved.
    """

    def __init__(self, now: float, moved: int) -> None:
        self.now = self.began = now
        self.left = 0
        self._moved = self._moved_before = moved
        self._moves = False
        self._working = 0
        self._latency = self._gap = 0.0
        self._recent: deque[tuple[float, int]] = deque()

    def observe(self, now: float, moved: int, left: int, working: int, latency: float, gap: float) -> None:
        """Take note of the present state. Arguments: as for ``Tuner.observe``."""
        self._moves = moved > self._moved
        self.now, self._moved, self.left, self._working = now, moved, left, working
        self._latency, self._gap = latency, gap

    @property
    def trial(self) -> float:
        """Seconds that it takes to measure a rate, at least."""
        return self._settling + 2 * self._half

    def first_bytes(self, patience: float = math.inf) -> Steps:
        """Wait until something has moved, for so many seconds at most."""
        until = self.now + patience
        while not self._so_far and self.now < until:
            self.began = self.now
            yield

    def rest(self) -> tuple[float, float]:
        """Return the seconds that the rest will take, and the present rate; 0.0 if it is not known yet."""
        then, moved = self._look_back(max(_LOOK, 2 * self._latency))
        if self.now - self.began < max(_LOOK, _SLOW_START * self._latency):
            # In slow start, what has arrived doubles in each round trip.
            return self._latency * math.log2(1 + self.left / self._so_far), 0.0
        rate = (self._moved - moved) / (self.now - then) if self.now > then else 0.0
        return self.left / rate if rate else 0.0, rate

    def _look_back(self, seconds: float) -> tuple[float, int]:
        """Return what had moved at an observation so many seconds ago, and when that was."""
        self._recent.append((self.now, self._moved))
        while len(self._recent) > 2 and self._recent[1][0] <= self.now - seconds:
            self._recent.popleft()
        return self._recent[0]

    def settle(self, connections: int) -> Steps:
        """Wait until so many connections work, and some time longer."""
        patience = self.now + max(_OPENING, _OPENING * self._latency)
        while self._working < connections and self.now < patience:
            yield
        until = self.now + self._settling
        while self.now < until:
            yield

    def flies(self, rate: float, amount: int) -> Generator[None, None, bool]:
        """Return True as soon as the first ``amount`` bytes have moved at ``rate`` at least, False if they have not."""
        while self._so_far < amount and self.now - self.began < amount / rate:
            yield
        return self._so_far >= max(amount, rate * (self.now - self.began))

    def reach(self, amount: int, patience: float) -> Steps:
        """Wait until ``amount`` bytes have moved since the beginning, for so many seconds at most."""
        until = self.now + patience
        while self._so_far < amount and self.now < until:
            yield

    def glance(self) -> Rate:
        """Return the rate of a short time, once it does not rise any more; 0.0 if nothing moves."""
        return (yield from self.measure(self._look))

    def growth(self, rate: float, enough: float) -> Rate:
        """Return the factor by which ``rate`` has grown: as soon as it is ``enough``, or once it grows no more.

        If nothing moves, nothing is lost by further connections.
        """
        if not rate:
            return enough
        self._recent.clear()
        found = highest = rate
        until = self._grown_by()
        while self.now < until and found < enough * rate:
            yield
            then, moved = self._look_back(self._look)
            if self.now - then >= self._look:
                found = (self._moved - moved) / (self.now - then)
            if found > highest * _GROWS:
                highest, until = found, self._grown_by()
        return max(found, highest) / rate

    def measure(self, length: float = 0.0) -> Rate:
        """Return the rate, once it does not rise any more. Argument: as for ``measure_half``."""
        before = yield from self.measure_half(length)
        for _ in range(_LONGEST_RISE):
            rate = yield from self.measure_half(length)
            if rate <= before * _RISES:
                return (before + rate) / 2
            before = rate
        return before

    def measure_half(self, length: float = 0.0) -> Rate:
        """Return the rate from one arrival of bytes to another, so that bursts count whole.

        Args:
            length: Seconds, at least; 0.0 for a time that evens out latency and bursts.
        """
        until = self.now + (_SILENT if length else math.inf)
        length = length or self._half
        while not self._moves and self.now < until:
            yield
        began, moved = self.now, self._moved
        while self.now < began + length or (not self._moves and self.now < began + 2 * length):
            yield
        return (self._moved - moved) / (self.now - began)

    @property
    def _so_far(self) -> int:
        return self._moved - self._moved_before

    @property
    def _look(self) -> float:
        return max(_LOOK, self._latency, min(_HALF_GAPS * self._gap, _LONGEST_LOOK))

    def _grown_by(self) -> float:
        return self.now + self._look + _GROWING + _GROWING_LATENCIES * self._latency

    @property
    def _settling(self) -> float:
        return max(_SETTLE, _SETTLE_LATENCIES * self._latency)

    @property
    def _half(self) -> float:
        return max(_HALF, _HALF_LATENCIES * self._latency, _HALF_GAPS * self._gap)
