"""Hashes a partial while it is being downloaded, as far as it is on disk without a gap."""

import contextlib
import queue
import threading
from io import FileIO
from typing import Protocol

from cdn_engine.download.partial import Partial
from cdn_engine.download.settings import BLOCK
from cdn_engine.download.state import State
from cdn_engine.errors import lacks_descriptors

__all__ = ["Hasher"]

_TICK = 0.05  # seconds between two looks at the plan
_MOST_BUFFERS = 8  # that wait to be hashed; what comes while there are so many is read from the file


class Digest(Protocol):
    """What takes content in order."""

    def update(self, block: memoryview, /) -> object: ...


class Hasher(threading.Thread):
    """A thread that feeds the partial to a digest; ``run`` also works in the calling thread.

    Args:
        state: The download's shared state.
        partial: The file.
        digest: What is fed.

    Attributes:
        error: Why it ended early; None if it did not. It can be repeated later if it only lacked a descriptor.
    """

    def __init__(self, state: State, partial: Partial, digest: Digest) -> None:
        super().__init__(name="cdn-download-digest", daemon=True)
        self._state = state
        self._partial = partial
        self._next = 0  # the byte after those that are hashed, being hashed, or waiting
        self._waiting: queue.SimpleQueue[tuple[memoryview, int]] = queue.SimpleQueue()
        self._count = 0  # buffers that wait
        self._spare: list[memoryview] = []
        self._digest = digest
        self._is_unwanted = False
        self.error: Exception | None = None

    def exchange(self, start: int, buffer: memoryview, amount: int) -> memoryview:
        """Take a buffer, if its bytes come next, for another one. The state's lock must be held.

        Args:
            start: The object's byte with which the buffer begins.
            buffer: What has been written to the file.
            amount: How many of its bytes count.

        Returns:
            A buffer to go on with: another one, or the same.
        """
        if start != self._next or self._count == _MOST_BUFFERS:
            return buffer
        self._next += amount
        self._count += 1
        self._waiting.put((buffer, amount))
        return self._spare.pop() if self._spare else memoryview(bytearray(BLOCK))

    @property
    def hashed(self) -> int:
        """Bytes of the object that have been hashed, or wait in buffers."""
        return self._next

    @property
    def left(self) -> int:
        """Bytes of the object that have not been hashed, but for those in buffers."""
        assert self._state.plan.size is not None
        return self._state.plan.size - self._next

    def give_up(self) -> None:
        """End soon, whatever is left."""
        self._is_unwanted = True

    def run(self) -> None:
        try:
            with self._partial.open() as file:
                buffer = memoryview(bytearray(BLOCK))
                while not self._is_over():
                    start, amount = self._claim()
                    if amount:
                        self._hash_from(file, start, buffer[:amount])
                    else:
                        self._hash_waiting()
        except Exception as error:
            self.error = error
            if not lacks_descriptors(error):
                self._state.fail(error)
        with self._state.lock:
            self._state.digest_pending = False
            self._state.notify()

    def _is_over(self) -> bool:
        state = self._state
        with state.lock:
            return state.ending or self._is_unwanted or (self._next == state.plan.size and not self._count)

    def _claim(self) -> tuple[int, int]:
        """Return what to read from the file, the first byte and how many: what is on disk and waits in no buffer."""
        with self._state.lock:
            start = self._next
            amount = 0 if self._count else max(0, min(self._state.plan.available(start), BLOCK))
            self._next += amount
            return start, amount

    def _hash_from(self, file: FileIO, start: int, block: memoryview) -> None:
        file.seek(start)
        while block and (count := file.readinto(block)):
            self._digest.update(block[:count])
            block = block[count:]

    def _hash_waiting(self) -> None:
        """Wait a moment for a buffer, and hash it."""
        with contextlib.suppress(queue.Empty):
            buffer, amount = self._waiting.get(timeout=_TICK)
            self._digest.update(buffer[:amount])
            with self._state.lock:
                self._count -= 1
                self._spare.append(buffer)
