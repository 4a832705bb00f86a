"""Hashes a payload before it is sent: as a whole, and its parts at the same time on another core."""

import threading
from collections.abc import Callable, Iterable
from hashlib import sha256
from queue import SimpleQueue

from cdn_engine import threads

__all__ = ["hash_payload"]


def hash_payload(
    blocks: Iterable[memoryview], part: int | None, pulse: Callable[[int], object]
) -> tuple[str, list[str]]:
    """Return the SHA-256 of a payload and those of its parts, in hex.

    Args:
        blocks: The payload. Each block is released before the next is taken.
        part: Bytes of each part but the last; None if the parts' digests are not needed.
        pulse: Called with the size of each block that has been hashed. An exception in it ends the hashing.
    """
    if part is not None:
        return _hash_on_two_cores(blocks, _Parts(part), pulse)
    whole = sha256()
    for block in blocks:
        with block:
            whole.update(block)
            size = len(block)
        pulse(size)
    return whole.hexdigest(), []


def _hash_on_two_cores(
    blocks: Iterable[memoryview], parts: "_Parts", pulse: Callable[[int], object]
) -> tuple[str, list[str]]:
    whole, block = sha256(), memoryview(b"")
    begun: SimpleQueue[memoryview | None] = SimpleQueue()
    done: SimpleQueue[None] = SimpleQueue()

    def hash_parts() -> None:
        while (given := begun.get()) is not None:
            parts.update(given)
            done.put(None)

    other = threading.Thread(target=hash_parts, name="cdn-upload", daemon=True)
    try:
        has_started = _start(other)
        for block in blocks:
            if has_started:
                begun.put(block)
            whole.update(block)
            if has_started:
                done.get()
            else:
                parts.update(block)
            size = len(block)
            block.release()
            pulse(size)
    finally:
        begun.put(None)
        threads.join([other])
        block.release()
    return whole.hexdigest(), parts.finish()


def _start(thread: threading.Thread) -> bool:
    try:
        threads.start(thread)
    except RuntimeError:  # the system has no thread
        return False
    return True


class _Parts:
    """The digests of parts of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._digest = sha256()
        self._done: list[str] = []

    def update(self, block: memoryview) -> None:
        start = 0
        while start < len(block):
            with block[start:start + self._left] as piece:
                self._digest.update(piece)
                start += len(piece)
                self._left -= len(piece)
            if not self._left:
                self._next()

    def finish(self) -> list[str]:
        if self._left < self._size:
            self._next()
        return self._done

    def _next(self) -> None:
        self._done.append(self._digest.hexdigest())
        self._digest = sha256()
        self._left = self._size
