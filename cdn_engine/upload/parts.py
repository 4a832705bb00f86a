"""Which part of a multipart upload is sent next, and which have arrived."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from cdn_engine.upload.body import Body
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.source import Source
from cdn_engine.upload.state import State
from cdn_engine.wire.attempt import Attempt

__all__ = ["Parts", "Sending"]

# A connection on which nothing has moved for this long, in seconds, and for twice as long as another part took from its
# first byte to its answer, has its part taken over by one that has nothing else to do.
_SILENCE = 5.0

_LOOK = 0.5  # seconds between two looks of an idle worker


@dataclass(eq=False)
class _Part:
    number: int
    view: memoryview
    buffer: memoryview | None
    taken_over: int = 0


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

    @property
    def number(self) -> int:
        return self.part.number


class Parts:
    """The parts of one multipart upload.

    A file's parts are read in order, whoever sends them, so that the digest of this second pass keeps up. A part whose
    sending failed keeps its buffer and is the next that any worker takes: there are never more buffers than workers.

    Args:
        source: The payload.
        layout: How it is cut.
        state: The upload's shared state.

    Attributes:
        arrived: The ETags of the parts that the store has, by number.

    Thread-safety: safe.
    """

    def __init__(self, source: Source, layout: Layout, state: State) -> None:
        self._source = source
        self._layout = layout
        self._state = state
        self._taking = threading.Lock()
        self._read = 0  # parts read so far, guarded by ``_taking``; the rest by the state's lock
        self._returned: list[_Part] = []
        self._sending: dict[int, Sending] = {}
        self._buffers: list[memoryview | None] = []
        self._parts: list[_Part] = []
        self._longest = 0.0  # seconds that a whole part took, from its first byte to its answer
        self.arrived: dict[int, str] = {}
        source.begin()

    def take(self) -> Sending | None:
        """Wait for a part to send. Return None when all have arrived, or the upload has ended."""
        while not self.is_over():
            with self._taking:
                sending = self._take_returned() or self._take_next() or self._take_over(time.monotonic())
            if sending is not None:
                return sending
            self._state.wait_for(lambda: bool(self._returned) or self.is_over(), _LOOK)
        return None

    def give_back(self, sending: Sending) -> None:
        """Take back a part whose sending has failed, for any worker, unless another one has taken it over."""
        with self._state.lock:
            if self._sending.get(sending.number) is sending:
                del self._sending[sending.number]
                self._returned.append(sending.part)
                self._state.notify()

    def finish(self, sending: Sending, etag: str) -> None:
        """Take note of a part that has arrived."""
        with self._state.lock:
            rival = self._sending.pop(sending.number, None)
            if rival is not None and rival is not sending:
                rival.attempt.cut()
            if sending.number in self.arrived:  # from the rival, whose answer crossed this one
                self._state.take_back(sending.body.sent)
                return
            self.arrived[sending.number] = etag
            if sending.part in self._returned:
                self._returned.remove(sending.part)
            self._buffers.append(sending.part.buffer)
            if len(sending.body) == self._layout.part:  # the last one may be tiny
                self._longest = max(self._longest, time.monotonic() - sending.began)
            self._state.notify()

    def is_over(self) -> bool:
        """Return True if no part is left to be sent, or the upload has ended."""
        return self._state.ended_by is not None or len(self.arrived) == self._layout.count

    def listing(self) -> list[dict[str, Any]]:
        """Return what CompleteMultipartUpload says of the parts."""
        return [{"PartNumber": number, "ETag": self.arrived[number]} for number in sorted(self.arrived)]

    def release(self) -> None:
        """Let go of the payload, once no worker is left."""
        for part in self._parts:
            part.view.release()

    def _begin(self, part: _Part) -> Sending:
        """Begin to send a part. The lock is held since it was chosen, so that it cannot have arrived meanwhile."""
        sending = self._sending[part.number] = Sending(part, Body(part.view, self._state))
        return sending

    def _take_returned(self) -> Sending | None:
        with self._state.lock:
            return self._begin(self._returned.pop(0)) if self._returned else None

    def _take_next(self) -> Sending | None:
        if self._read == self._layout.count:
            return None
        start = self._read * self._layout.part
        stop = min(start + self._layout.part, self._source.size)
        with self._state.lock:
            buffer = self._buffers.pop() if self._buffers else self._source.buffer(self._layout.part)
        part = _Part(self._read + 1, self._source.part(start, stop, buffer), buffer)
        self._read += 1
        self._parts.append(part)
        with self._state.lock:
            return self._begin(part)

    def _take_over(self, now: float) -> Sending | None:
        """Take a part from a connection that is silent for longer than the others needed for theirs."""
        if not self._longest:
            return None
        with self._state.lock:
            for sending in self._sending.values():
                patience = max(_SILENCE, 2 * self._longest) * 2**sending.part.taken_over
                if now - sending.body.moved_at > patience:
                    sending.part.taken_over += 1
                    sending.attempt.cut()
                    return self._begin(sending.part)
        return None
