"""Which part of a multipart upload is sent next, and which have arrived."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cdn_engine.upload.body import Body
from cdn_engine.upload.journal import Journal
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.request import is_gone
from cdn_engine.upload.source import Source
from cdn_engine.upload.state import State
from cdn_engine.wire.attempt import Attempt

__all__ = ["Parts", "Sending"]

# A connection on which nothing has moved for this long, in seconds, while others have moved something or have nothing
# to do, gives back its part; but not before twice the longest time that one needed for a piece of a body, or for a part
# and its answer.
_SILENCE = 3.0
_PATIENCE = 2

_QUIET = 1.0  # seconds of silence after which it is rather this one than another that is to wait

_LONG = 60.0  # seconds; a wait that is renewed


@dataclass(eq=False)
class _Part:
    number: int
    cuts: int = 0  # how many times it was given back because of silence


@dataclass(eq=False)
class Sending:
    """One worker's attempt to send one part.

    Attributes:
        number: The part's number, from 1.
        body: The body of its request.
        attempt: The request.
    """

    part: _Part
    body: Body
    attempt: Attempt = field(default_factory=Attempt)
    began: float = field(default_factory=time.monotonic)
    is_cut: bool = False

    @property
    def number(self) -> int:
        return self.part.number


class Parts:
    """The parts of one multipart upload.

    A part whose sending failed is the next that any worker takes.

    Args:
        source: The payload.
        layout: How it is cut.
        digests: The SHA-256 of each part, in hex; empty if they are not known.
        state: The upload's shared state.
        journal: Takes note of the parts that have arrived; None for none.
        arrived: The ETags of the parts that the store has already, by number.

    Attributes:
        arrived: The ETags of the parts that the store has, by number.
        gone: The failure that says that the store knows the upload no more; None as long as it does.
        quickest_answer: Seconds from the last byte of a part to its answer, at least; infinity until there is one.

    Thread-safety: safe.
    """

    def __init__(
        self,
        source: Source,
        layout: Layout,
        digests: Sequence[str],
        state: State,
        journal: Journal | None = None,
        arrived: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._source = source
        self._layout = layout
        self._digests = digests
        self._state = state
        self._journal = journal
        # Guarded, as all that follows, by the state's lock.
        self._new = (_Part(number) for number in range(1, layout.count + 1) if number not in arrived)
        self._returned: list[_Part] = []
        self._sending: list[Sending] = []
        self._idle = 0  # workers that wait for a part
        self._longest = 0.0  # seconds that a whole part took, from its first byte to its answer
        self.arrived = dict(arrived)
        self.gone: Exception | None = None
        self.quickest_answer = math.inf

    def take(self) -> Sending | None:
        """Wait for a part to send. Return None when all have arrived, or the upload has ended."""
        while not self.is_over():
            with self._state.lock:
                sending = self._begin_next()
            if sending is not None:
                return sending
            with self._state.lock:
                self._idle += 1
            self._state.wait_for(lambda: bool(self._returned) or self.is_over(), _LONG)
            with self._state.lock:
                self._idle -= 1
        return None

    def give_back(self, sending: Sending) -> None:
        """Take back a part whose sending has failed, for any worker."""
        with self._state.lock:
            self._sending.remove(sending)
            self._returned.append(sending.part)
            self._state.notify()

    def finish(self, sending: Sending, etag: str) -> None:
        """Take note of a part that has arrived."""
        with self._state.lock:
            now = time.monotonic()
            self._sending.remove(sending)
            self.arrived[sending.number] = etag
            self.quickest_answer = min(self.quickest_answer, now - sending.body.moved_at)
            if len(sending.body) == self._layout.part:  # the last one may be tiny
                self._longest = max(self._longest, now - sending.began)
            self._state.notify()

    def lose(self, error: Exception) -> bool:
        """Take note of a failure. Return True if it means that the store knows the upload no more: it is over then."""
        if not is_gone(error):
            return False
        with self._state.lock:
            self.gone = error
            for sending in self._sending:
                sending.attempt.cut()
            self._state.notify()
        return True

    def save(self, at_once: bool = False) -> None:
        """Let the journal know what has arrived, about once a second. For the thread that leads."""
        if self._journal is not None:
            with self._state.lock:
                arrived = dict(self.arrived)
            self._journal.save(arrived, at_once)

    def size_of(self, numbers: Iterable[int]) -> int:
        """Return how many bytes these parts have."""
        return sum(stop - start for start, stop in map(self._range_of, numbers))

    def cut_silent(self, now: float) -> None:
        """Cut the requests on which nothing moves while others could carry their parts, which are given back then.

        The lock has to be held.
        """
        since = now if self._idle else self._state.moved_at  # if nothing moves at all, none is worse than another
        for sending in self._sending:
            if not sending.is_cut and since - sending.body.moved_at > self._patience(sending):
                sending.is_cut = True
                sending.part.cuts += 1
                sending.attempt.cut()

    def _patience(self, sending: Sending) -> float:
        longest = self._state.longest_gap
        if sending.body.sent == len(sending.body):
            longest = self._longest or math.inf  # as long as nobody knows how long an answer takes
        return float(max(_SILENCE, _PATIENCE * longest) * 2**sending.part.cuts)

    def is_over(self) -> bool:
        """Return True if no part is left to be sent, or none can be."""
        return self._state.ended_by is not None or self.gone is not None or len(self.arrived) == self._layout.count

    def bodies(self) -> list[Body]:
        """Return the bodies that are being sent: those that move before others, then in the order in which they began.

        The lock has to be held.
        """
        silent_since = time.monotonic() - max(_QUIET, _PATIENCE * self._state.longest_gap)
        return sorted((sending.body for sending in self._sending), key=lambda body: body.moved_at < silent_since)

    def listing(self) -> list[dict[str, Any]]:
        """Return what CompleteMultipartUpload says of the parts."""
        return [{"PartNumber": number, "ETag": self.arrived[number]} for number in sorted(self.arrived)]

    def _begin_next(self) -> Sending | None:
        part = self._returned.pop(0) if self._returned else next(self._new, None)
        if part is None:
            return None
        start, stop = self._range_of(part.number)
        digest = self._digests[part.number - 1] if self._digests else None
        sending = Sending(part, Body(self._source, start, stop, self._state, digest))
        self._sending.append(sending)
        return sending

    def _range_of(self, number: int) -> tuple[int, int]:
        start = (number - 1) * self._layout.part
        return start, min(start + self._layout.part, self._source.size)
