"""Which bytes of an object are on disk, under way or missing, and who downloads which of them next.

No input or output, no clock and no lock: the threads of a download share one plan under their lock.
"""

__all__ = ["Plan", "Span", "gaps"]

Range = tuple[int, int]  # first byte, byte after the last

# What one of several connections takes at once, of an object of 16 parts or more: long enough for the latency of a
# request not to count, short enough for the digest to keep up while the data is still in the system's cache.
_PARTS = 16
_MIN_PART = 8 << 20
_MAX_PART = 64 << 20
_ENDLESS = 1 << 62  # a position after the end of any object
_MIN_SHARED = 4 << 20  # bytes that a range under way must have left for another connection to take half of it


class Span:
    """The range of bytes that one connection downloads.

    Attributes:
        pos: The first byte that is not yet on disk.
        stop: The byte after the last.
    """

    __slots__ = ("pos", "stop")

    def __init__(self, pos: int, stop: int) -> None:
        self.pos = pos
        self.stop = stop

    @property
    def left(self) -> int:
        return self.stop - self.pos


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
    """

    def __init__(self, first: int, part: int | None = None, ranged: bool = True) -> None:
        self.first = first
        self.part = part
        self.ranged = ranged
        self.size: int | None = None
        self.missing: list[Range] = [(0, first)]
        self.active: list[Span] = []
        self.on_disk = 0

    def resume(self, size: int, finished: list[Range]) -> None:
        """Start from what an earlier call has left."""
        self.size = size
        self.missing = gaps(finished, size)
        self.on_disk = size - sum(stop - start for start, stop in self.missing)

    def set_size(self, size: int, span: Span) -> None:
        """Take note of the size, which the first answer tells to the only ``span`` under way."""
        self.size = size
        self.missing = [(span.stop, size)] if size > span.stop else []
        span.stop = min(span.stop, size)

    @property
    def complete(self) -> bool:
        return self.size is not None and not self.missing and not self.active

    @property
    def has_work(self) -> bool:
        """True if there is something for another connection to download."""
        return bool(self.missing) or any(map(self._can_share, self.active))

    @property
    def is_one_part(self) -> bool:
        """True if the first request brings the whole object, or the size is not known yet."""
        return self.size is None or self.size <= self.first

    def finished(self) -> list[Range]:
        """Return the sorted ranges that are on disk."""
        assert self.size is not None
        return gaps(sorted([*self.missing, *((span.pos, span.stop) for span in self.active)]), self.size)

    def available(self, done: int) -> int:
        """Return how many bytes after ``done`` are on disk without a gap."""
        assert self.size is not None
        starts = [start for start, _ in self.missing] + [span.pos for span in self.active]
        return min(starts, default=self.size) - done

    def take(self, connections: int) -> Span | None:
        """Return the next span; None if there is nothing to do or ``connections`` spans are under way."""
        if len(self.active) >= connections:
            return None
        if not self.missing:
            self._share()
        if not self.missing:
            return None
        start, stop = self.missing.pop(0)
        longest = self._longest(connections)
        if self.ranged and stop - start > longest:
            self.missing.insert(0, (start + longest, stop))
            stop = start + longest
        span = Span(start, stop)
        self.active.append(span)
        return span

    def wrote(self, span: Span, amount: int) -> None:
        """Count bytes of a span that have been written to disk."""
        span.pos += amount
        self.on_disk += amount

    def give_back(self, span: Span) -> None:
        """End a span. What is left of it is missing again."""
        self.active.remove(span)
        if span.left:
            self.missing.append((span.pos, span.stop))
            self.missing.sort()

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

    def _can_share(self, span: Span) -> bool:
        return self.ranged and self.part is None and not self.is_one_part and span.left >= _MIN_SHARED

    def _share(self) -> None:
        """Take away from the span with the most left what exceeds a part, or half of it."""
        span = max(filter(self._can_share, self.active), key=lambda span: span.left, default=None)
        if span is not None:
            # Well past what its connection is writing now.
            stop = span.pos + min(span.left // 2, self._part_length())
            self.missing.append((stop, span.stop))
            span.stop = stop

    def _part_length(self) -> int:
        assert self.size is not None
        return min(max(self.size // _PARTS, _MIN_PART), _MAX_PART)

    def _longest(self, connections: int) -> int:
        """Return how many bytes one connection may take."""
        if self.size is None:
            return self.first
        return self.part or (self.size if connections == 1 else self._part_length())


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
