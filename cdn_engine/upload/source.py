"""The payload of an upload: bytes in memory, or a file that is read twice."""

import contextlib
import hashlib
import mmap
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

from cdn_engine.errors import ObjectChangedError

__all__ = ["FileSource", "MemorySource", "Source", "open_source"]

_BLOCK = 1 << 20  # bytes of a file that are hashed at once
_MEMORY_BLOCK = 8 << 20  # bytes of a payload in memory that are hashed at once: Ctrl-C is handled in between


class Source(Protocol):
    """A payload.

    Attributes:
        size: Number of bytes, known once ``blocks`` has been read to its end.
        in_memory: True if parts need no buffer, and the content cannot change.
    """

    size: int
    in_memory: bool

    def blocks(self) -> Iterator[memoryview]:
        """Yield the payload in blocks, for the digest. The caller releases each block before it takes the next."""
        ...

    def buffer(self, size: int) -> memoryview | None:
        """Return a buffer for parts of up to ``size`` bytes; None if parts need none."""
        ...

    def begin(self) -> None:
        """Begin to read parts, from the first on."""
        ...

    def part(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        """Return the bytes from ``start`` to ``stop``. Parts are read in order, by one thread at a time."""
        ...

    def read(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        """Return these bytes, but not as a part. Not for use while another thread reads parts."""
        ...

    def check_unchanged(self, sha256: str) -> None:
        """Raise ``ObjectChangedError`` if the parts read since ``begin`` are not the payload with this digest."""
        ...


class MemorySource:
    """A payload in memory. Its parts are views of it."""

    in_memory = True

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.size = len(view)

    def blocks(self) -> Iterator[memoryview]:
        for start in range(0, self.size, _MEMORY_BLOCK):
            yield self._view[start:start + _MEMORY_BLOCK]

    def buffer(self, size: int) -> memoryview | None:
        return None

    def begin(self) -> None:
        pass

    def part(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        return self._view[start:stop]

    read = part

    def check_unchanged(self, sha256: str) -> None:
        pass


class FileSource:
    """A payload in a file, from its current position to its end. Its parts are read into a buffer."""

    in_memory = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._origin = file.tell()
        self.size = 0
        self.begin()

    def blocks(self) -> Iterator[memoryview]:
        block = memoryview(bytearray(_BLOCK))
        self.size = 0
        while count := _fill(self._file, block):
            self.size += count
            yield block[:count]

    def buffer(self, size: int) -> memoryview | None:
        return memoryview(bytearray(size))

    def begin(self) -> None:
        self._digest = hashlib.sha256()

    def part(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        part = self.read(start, stop, buffer)
        self._digest.update(part)
        return part

    def read(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        assert buffer is not None
        self._file.seek(self._origin + start)
        block = buffer[:stop - start]
        if _fill(self._file, block) < len(block):
            raise ObjectChangedError("the source became shorter during the upload: nothing was stored")
        return block

    def check_unchanged(self, sha256: str) -> None:
        self._file.seek(self._origin + self.size)
        if self._file.read(1) or self._digest.hexdigest() != sha256:
            raise ObjectChangedError("the source changed during the upload: nothing was stored")


@contextlib.contextmanager
def open_source(source: Any, pulse: Callable[[], None]) -> Iterator[Source]:
    """Open a payload.

    Args:
        source: Bytes-like; a path; or a binary file object, which is read from its current position and stays open.
        pulse: Called again and again while a stream is copied. An exception in it ends the copying.

    Raises:
        TypeError: It is none of these.
        OSError: The file cannot be read; or a stream that cannot seek cannot be copied to a temporary file.
    """
    with contextlib.ExitStack() as opened:
        if isinstance(source, (str, os.PathLike)):
            source = opened.enter_context(open(source, "rb", buffering=0))
        if hasattr(source, "read") and not isinstance(source, mmap.mmap):
            if not isinstance(source.read(0), bytes):
                raise _unfit(source)
            if not _is_seekable(source):
                source = _spool(source, opened.enter_context(tempfile.TemporaryFile()), pulse)
            yield FileSource(source)
            return
        try:
            view = opened.enter_context(memoryview(source))
        except TypeError:
            raise _unfit(source) from None
        if not view.c_contiguous:
            raise TypeError("cannot upload a memoryview with gaps: pass bytes(view)")
        yield MemorySource(opened.enter_context(view.cast("B")))


def _unfit(source: object) -> TypeError:
    return TypeError(f"cannot upload a {type(source).__name__}: pass bytes, a path or a binary file object")


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


def _is_seekable(file: BinaryIO) -> bool:
    # Not a system file: take its own word for it.
    with contextlib.suppress(AttributeError, OSError):
        # A pipe on Windows claims that it can seek (bpo-42602).
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return False
    return hasattr(file, "seekable") and file.seekable()


def _spool(stream: BinaryIO, file: Any, pulse: Callable[[], None]) -> BinaryIO:
    """Copy a stream to a temporary file."""
    block = memoryview(bytearray(_BLOCK))
    while count := _fill(stream, block):
        file.write(block[:count])
        pulse()
    file.seek(0)
    spooled: BinaryIO = file
    return spooled
