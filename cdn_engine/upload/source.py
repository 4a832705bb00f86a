"""The payload of an upload, as its requests read it: bytes in memory, or a file that is read twice."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

from cdn_engine.errors import ObjectChangedError
from cdn_engine.upload.identity import settle

__all__ = ["FileSource", "MemorySource", "Source", "blocks_of", "changed"]

_BLOCK = 1 << 20  # bytes of a file that are hashed at once
_MEMORY_BLOCK = 8 << 20  # bytes of a payload in memory that are hashed at once: Ctrl-C is handled in between


class Source(Protocol):
    """A payload.

    Attributes:
        size: Number of bytes.
        is_sure: True if what ``read`` returns is certainly what ``blocks`` has yielded.

    Thread-safety: safe, but for ``blocks``.
    """

    size: int

    @property
    def is_sure(self) -> bool: ...

    def blocks(self) -> Iterator[memoryview]:
        """Yield the payload in blocks, for the digest. The caller releases each block before it takes the next."""
        ...

    def begin(self, sha256: str, check: Callable[[], object]) -> None:
        """Take note of the digest before the first ``read``. ``check`` raises if reading is to end."""
        ...

    def buffer(self, size: int) -> memoryview | None:
        """Return a buffer for ``read`` of up to ``size`` bytes; None if it needs none."""
        ...

    def read(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        """Return the bytes from ``start`` to ``stop``, in the buffer if there is one.

        Raises:
            ObjectChangedError: They may not be those that ``blocks`` has yielded.
        """
        ...


class MemorySource:
    """A payload in memory, which is sent from where it is."""

    is_sure = True

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.size = len(view)

    def blocks(self) -> Iterator[memoryview]:
        for start in range(0, self.size, _MEMORY_BLOCK):
            yield self._view[start:start + _MEMORY_BLOCK]

    def begin(self, sha256: str, check: Callable[[], object]) -> None:
        pass

    def buffer(self, size: int) -> memoryview | None:
        return None

    def read(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        return self._view[start:stop]


class FileSource:
    """A payload in a file, from its current position on.

    Args:
        file: A file that can seek.
        size: Number of bytes.
        identify: Returns something else once the content may have changed; None if nothing shows that.
    """

    def __init__(self, file: BinaryIO, size: int, identify: Callable[[], object] | None = None) -> None:
        self._file = file
        self._identify = identify
        self._identity = identify and identify()
        self._origin = file.tell()
        self._lock = threading.Lock()  # a file has one position
        self.size = size

    @property
    def is_sure(self) -> bool:
        return self._identify is not None

    def blocks(self) -> Iterator[memoryview]:
        self._file.seek(self._origin)
        size = 0
        for block in blocks_of(self._file):
            size += len(block)
            yield block
        if size != self.size:
            raise changed()

    def begin(self, sha256: str, check: Callable[[], object]) -> None:
        self._sha256 = sha256
        self._check = check

    def buffer(self, size: int) -> memoryview | None:
        return memoryview(bytearray(size))

    def read(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        assert buffer is not None
        block = buffer[:stop - start]
        with self._lock:
            while True:
                self._file.seek(self._origin + start)
                if _fill(self._file, block) < len(block):
                    raise changed()
                if self._identify is None:
                    if stop == self.size and self._file.read(1):
                        raise changed()
                    return block
                if self._identify() == self._identity:
                    return block
                self._look_again()

    def _look_again(self) -> None:
        """Hash the file once more: it may be only its name or its rights that have changed."""
        assert self._identify is not None
        self._identity = settle(self._identify, self._check)
        digest = hashlib.sha256()
        for block in self.blocks():
            self._check()
            digest.update(block)
        if digest.hexdigest() != self._sha256:
            raise changed()


def changed() -> ObjectChangedError:
    """Return the failure of an upload whose source is no longer what it was."""
    return ObjectChangedError("the source changed during the upload: nothing was stored")


def blocks_of(file: Any, size: int = _BLOCK) -> Iterator[memoryview]:
    """Read a file to its end, in blocks of ``size`` bytes that share one buffer.

    Raises:
        BlockingIOError: It has no bytes yet.
    """
    block = memoryview(bytearray(size))
    while count := _fill(file, block):
        yield block[:count]


def _fill(file: Any, buffer: memoryview) -> int:
    """Read until the buffer is full or the file ends. Return the number of bytes read."""
    done = 0
    while done < len(buffer):
        if hasattr(file, "readinto"):
            count = file.readinto(buffer[done:])
        else:
            block = file.read(len(buffer) - done)
            count = block if block is None else len(block)
            buffer[done:done + len(block or b"")] = block or b""
        if count is None:
            raise BlockingIOError("the source has no bytes yet: pass a file object that blocks")
        if not count:
            break
        done += count
    return done
