"""Which bytes of an object are on disk, under way or missing, and who downloads which of them next.

No input or output, no clock and no lock: the threads of a download share one plan under their lock. Work is shared by
time and not by bytes: what a connection has left is judged by its rate.
"""

import statistics
from collections.abc import Iterator

from cdn_engine.download.span import Span

__all__ = ["Plan", "gaps"]

Range = tuple[int, int]  # first byte, byte after the last

_ENDLESS = 1 << 62  # a position after the end of any object

# What one of several connections takes at once is its share of half the rest, so that all of them end together; but
# enough for the latency of a request not to count, and no more than the system's cache keeps for the digest.
_LEAST = 256 << 10  # bytes
_LEAST_SECONDS = 1.0  # also how much a connection must have left for an idle one to take some of it
_LEAST_LATENCIES = 8
_MOST = 64 << 20  # bytes
_LEAST_SHARED = 64 << 10  # bytes; a connection that trickles must not keep more than it needs seconds for

# A connection loses its span if it is silent, in seconds or as a multiple of the longest silence so far, or much slower
# than the others.
_SILENT = 3.0
_SILENT_AT_THE_END = 1.0  # when another connection has nothing else to do
_GAPS = 3
_LONGEST_GAP = 2.0  # seconds; a longer one is an outage, and no property of the link
_MUCH_SLOWER = 8

_SLOW_START = 1.5  # times the least work of a connection; until then it will become as fast as the others


class Plan:
    """The state of one object's bytes.

    Args:
        first: Bytes to ask for before the size is known.
        part: Bytes that a request asks for; None to decide here.
        ranged: False if ranges cannot be used: then one connection downloads everything.

    Attributes:
        size: The object's size in bytes; None until it is known.
        missing: Sorted ranges that nobody downloads.
        active: The spans under way.
        on_disk: Number of bytes on disk.
        latency: Seconds that a request takes until its answer begins.
        gap: The longest time in seconds for which a connection has been silent in between.
    """

    def __init__(self, first: int, part: int | None = None, ranged: bool = True) -> None:
        self.first = first
        self.part = part
        self.ranged = ranged
        self.size: int | None = None
        self.missing: list[Range] = [(0, first)]
        self.active: list[Span] = []
        self.on_disk = 0
        self.latency = 0.0
        self.gap = 0.0
        self._divisible = False
        self._moved_at = 0.0  # when a byte arrived over any connection
        self._now = 0.0
        self._rate = 0.0  # bytes a second of a connection that has been through slow start

    def resume(self, size: int, finished: list[Range]) -> None:
        """Start from what an earlier call has left."""
        self.size = size
        self.missing = gaps(finished, size)
        self.on_disk = size - sum(stop - start for start, stop in self.missing)
        self._divisible = True

    def set_size(self, size: int, span: Span, divisible: bool = True) -> None:
        """Take note of the size, which the first answer tells to the only ``span`` under way.

        Args:
            size: The object's size in bytes.
            span: The span.
            divisible: False if bytes of two requests cannot be told to be of the same object.
        """
        self.size = size
        self.missing = [(span.stop, size)] if size > span.stop else []
        span.stop = min(span.stop, size)
        self._divisible = divisible

    @property
    def complete(self) -> bool:
        return self.size is not None and not self.missing and not self.active

    @property
    def left(self) -> int:
        """Bytes that are not on disk yet; 0 if the size is not known."""
        return 0 if self.size is None else self.size - self.on_disk

    @property
    def has_work(self) -> bool:
        """True if there is something for another connection to download."""
        return bool(self.missing) or self._longest() is not None

    def finished(self) -> list[Range]:
        """Return the sorted ranges that are on disk."""
        assert self.size is not None
        return gaps(sorted([*self.missing, *((span.pos, span.stop) for span in self.active)]), self.size)

    def available(self, done: int) -> int:
        """Return how many bytes after ``done`` are on disk without a gap."""
        assert self.size is not None
        starts = [start for start, _ in self.missing] + [span.pos for span in self.active]
        return min(starts, default=self.size) - done

    def take(self, connections: int, now: float) -> Span | None:
        """Return the next span; None if there is nothing to do or ``connections`` spans are under way."""
        idle = connections - len(self.active)
        if idle <= 0:
            return None
        if not self.missing:
            self._share(idle)
        if not self.missing:
            return None
        start, stop = self.missing.pop(self._next())
        length = self._length(connections, stop - start)
        if stop - start > length:
            self._miss(start + length, stop)
            stop = start + length
        span = Span(start, stop, now)
        self.active.append(span)
        return span

    def wrote(self, span: Span, amount: int) -> int:
        """Count bytes that have been written to disk, as far as they still belong to the span. Return how many do."""
        amount = min(amount, span.left)
        span.pos += amount
        self.on_disk += amount
        return amount

    def give_back(self, span: Span) -> None:
        """End a span. What is left of it is missing again, unless another request that asked for it brings it."""
        self.active.remove(span)
        for other in self.active:
            if other.left and other.stop == span.pos and span.stop <= other.asked:
                other.stop = span.stop
                return
        if span.left > 0:
            self._miss(span.pos, span.stop)

    def shorten(self, span: Span, stop: int) -> None:
        """Let a span end at ``stop``. What follows is missing again."""
        stop = max(stop, span.pos)
        if stop < span.stop:
            self._miss(stop, span.stop)
            span.stop = stop

    def restart(self, span: Span) -> None:
        """Download a span again from byte 0: a mix of two versions would go unnoticed."""
        self.on_disk -= span.pos
        span.pos = 0

    def take_all(self, span: Span) -> None:
        """Let the only span under way download all that is missing: the store ignores ranges, or none was asked for."""
        span.pos = self.on_disk = min([span.pos, *(start for start, _ in self.missing)])
        span.stop = _ENDLESS if self.size is None else self.size
        self.missing = []

    def end_at(self, pos: int) -> None:
        """Take note that the only span under way, of an object whose size was not known, ends here."""
        (span,) = self.active
        self.size = span.stop = pos

    def look(self, now: float) -> None:
        """Bring the rates up to date. To be called about 20 times a second."""
        self._now = now
        for span in self.active:
            if (silence := span.look(now)) <= _LONGEST_GAP:
                self.gap = max(self.gap, silence)
            if span.answered:
                self._moved_at = max(self._moved_at, span.moved_at)
        known = [(rate, self._is_young(span)) for span in self.active if (rate := span.rate)]
        if rates := [rate for rate, is_young in known if not is_young]:
            self._rate = statistics.fmean(rates)
        elif known:
            self._rate = max(self._rate, statistics.fmean(rate for rate, _ in known))

    def is_idle(self, connections: int) -> bool:
        """Return True if one of so many connections has nothing to do."""
        return not self.missing and len(self.active) < connections

    def laggards(self, connections: int, now: float) -> Iterator[Span]:
        """Yield the spans whose connections hold up the others.

        Args:
            connections: How many there should be.
            now: The time in seconds.
        """
        patience = _SILENT_AT_THE_END if self.is_idle(connections) else _SILENT
        patience = max(patience, _GAPS * self.gap, _LEAST_LATENCIES * self.latency)
        for span in self.active:
            if not span.answered:
                continue
            if span.moved_at < self._moved_at and now - span.moved_at > patience:
                yield span
            elif span.rate is not None and now - span.began > 2 * patience and now - span.moved_at <= self.gap:
                others = [one.rate for one in self.active if one is not span and one.rate is not None]
                if len(others) > 1 and span.rate * _MUCH_SLOWER < statistics.median(others):
                    yield span

    def surplus(self, connections: int) -> list[Span]:
        """Return the spans beyond so many: first those without an answer, then those that are needed last."""
        return sorted(self.active, key=lambda span: (not span.answered, span.pos))[connections:]

    def _miss(self, start: int, stop: int) -> None:
        self.missing = gaps(gaps(sorted([*self.missing, (start, stop)]), _ENDLESS), _ENDLESS)  # neighbours become one

    def _is_young(self, span: Span) -> bool:
        return self._now - span.began < _SLOW_START * self._least()

    def _least(self) -> float:
        """Return how many seconds of work are worth a request."""
        return max(_LEAST_SECONDS, _LEAST_LATENCIES * self.latency)

    def _longest(self) -> tuple[Span, float] | None:
        """Return the span that takes longest, if an idle connection should take some of it, and its rate."""
        if not self.ranged or not self._divisible or self.part is not None or not self._rate:
            return None
        rates = {
            span: max(span.rate or 0.0, self._rate if self._is_young(span) else 0.0)
            for span in self.active
            if span.left > _LEAST_SHARED
        }
        span = max(rates, key=lambda span: span.left / max(rates[span], 1.0), default=None)
        if span is None or span.left <= self._least() * rates[span]:
            return None
        return span, rates[span]

    def _next(self) -> int:
        """Return the index of the missing range that is next: the first, but of short ones, one at a time.

        Several connections that all wait for the answers to short requests would leave the link idle.
        """
        least = self._rate * self._least()
        if any(span.asked - span.start < least for span in self.active):
            return next((index for index, (start, stop) in enumerate(self.missing) if stop - start >= least), 0)
        return 0

    def _share(self, idle: int) -> None:
        """Leave a connection no more than its share of what the one that takes longest has left."""
        found = self._longest()
        if found is None:
            return
        span, rate = found
        others = max(self._rate, rate) * idle
        kept = max(_LEAST_SHARED, int(span.left * rate / (rate + others)), int(self._least() * rate / 2))
        self.shorten(span, span.pos + kept)

    def _length(self, connections: int, available: int) -> int:
        """Return how many bytes of those available one connection takes."""
        if self.size is None:
            return self.first
        if self.part is not None:
            return self.part
        if connections == 1 or not self.ranged:
            return available
        rest = sum(stop - start for start, stop in self.missing) + available
        least = max(_LEAST, int(self._rate * self._least()))
        return max(least, min(rest // (2 * connections), _MOST))


def gaps(ranges: list[Range], size: int) -> list[Range]:
    """Return what sorted ``ranges`` leave of ``size`` bytes: missing ranges become finished ones, and vice versa."""
    found, done = [], 0
    for start, stop in ranges:
        if start > done:
            found.append((done, start))
        done = max(done, stop)
    if done < size:
        found.append((done, size))
    return found
