"""Hashes a payload before it is sent: as a whole, and its parts at the same time on another core."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

__all__ = ["hash_payload"]


def hash_payload(
    blocks: Iterable[memoryview], part: int | None, pulse: Callable[[], object]
) -> tuple[str, list[str]]:
    """Return the SHA-256 of a payload and those of its parts, in hex.

    Args:
        blocks: The payload. Each block is released before the next is taken.
        part: Bytes of each part but the last; None if the parts' digests are not needed.
        pulse: Called after each block. An exception in it ends the hashing.
    """
    whole, parts = sha256(), _Parts(part or 0)
    with ThreadPoolExecutor(1, "cdn-upload") as other_core:
        is_shared = part is not None and _can_start(other_core)
        for block in blocks:
            with block:
                hashing = other_core.submit(parts.update, block) if is_shared else None
                whole.update(block)
                if hashing is not None:
                    hashing.result()
                elif part is not None:
                    parts.update(block)
            pulse()
    return whole.hexdigest(), parts.finish()


def _can_start(pool: ThreadPoolExecutor) -> bool:
    try:
        pool.submit(int)
    except RuntimeError:  # the system has no thread for it
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
