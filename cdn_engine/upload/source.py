"""The payload of an upload: bytes in memory, or a file that is read twice.

A file that fits into a small buffer is read into memory, and once more to be compared.
"""

import contextlib
import hashlib
import io
import mmap
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

from cdn_engine.errors import ObjectChangedError
from cdn_engine.upload import identity

__all__ = ["FileSource", "MemorySource", "Source", "open_source"]

_BLOCK = 1 << 20  # bytes of a file that are hashed at once
_SMALL = 8 << 20  # bytes of a file that are kept in memory
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

    def begin(self, check: Callable[[], object]) -> None:
        """Begin to read parts, from the first on. ``check`` raises if reading is to end."""
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

    def begin(self, check: Callable[[], object]) -> None:
        pass

    def part(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        return self._view[start:stop]

    read = part

    def check_unchanged(self, sha256: str) -> None:
        pass


class FileSource:
    """A payload in a file, from its current position to its end. Its parts are read into a buffer.

    They are what was hashed if ``identify`` says so after each has been read. Where nothing does, or a file is no longer
    the same, which its name or its rights may be the reason for, they are hashed once more.

    Args:
        file: A file that can seek.
        identify: Returns something else once the content may have changed; None if nothing shows that.
    """

    in_memory = False

    def __init__(self, file: BinaryIO, identify: Callable[[], object] | None = None) -> None:
        self._file = file
        self._identify = identify
        self._identity = identify and identify()
        self._origin = file.tell()
        self.size = 0

    def blocks(self) -> Iterator[memoryview]:
        self.size = 0
        for block in _blocks(self._file):
            self.size += len(block)
            yield block

    def buffer(self, size: int) -> memoryview | None:
        return memoryview(bytearray(size))

    def begin(self, check: Callable[[], object]) -> None:
        self._check = check
        self._digest = hashlib.sha256()

    def part(self, start: int, stop: int, buffer: memoryview | None) -> memoryview:
        part = self.read(start, stop, buffer)
        self._look(start)
        if self._identify is None:
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
        self._look(self.size)
        if self._identify is not None:
            return
        self._file.seek(self._origin + self.size)
        if self._file.read(1) or self._digest.hexdigest() != sha256:
            raise ObjectChangedError("the source changed during the upload: nothing was stored")

    def _look(self, stop: int) -> None:
        """If the file is no longer the same, hash what has been read up to ``stop``, and what follows from now on."""
        if self._identify is None or self._identify() == self._identity:
            return
        self._identify = None
        block = self.buffer(_BLOCK)
        for start in range(0, stop, _BLOCK):
            self._check()
            self._digest.update(self.read(start, min(start + _BLOCK, stop), block))


@contextlib.contextmanager
def open_source(source: Any, pulse: Callable[[], None]) -> Iterator[Source]:
    """Open a payload.

    Args:
        source: Bytes-like; a path; or a binary file object, which is read from its current position and stays open.
        pulse: Called again and again while a stream is copied. An exception in it ends the copying.

    Raises:
        TypeError: It is none of these.
        ObjectChangedError: A small file changed while it was read.
        OSError: The file cannot be read; or a stream that cannot seek cannot be copied to a temporary file.
    """
    with contextlib.ExitStack() as opened:
        if isinstance(source, (str, os.PathLike)):
            source = opened.enter_context(open(source, "rb", buffering=0))
        start = 0
        if type(source) is io.BytesIO:
            start = source.tell()
            source.seek(0, os.SEEK_END)
            source = source.getbuffer()
        elif hasattr(source, "read") and not isinstance(source, mmap.mmap):
            source = _open_file(source, opened, pulse)
        if isinstance(source, FileSource):
            yield source
            return
        try:
            view = opened.enter_context(memoryview(source))
        except TypeError:
            raise _unfit(source) from None
        if not view.c_contiguous:
            raise TypeError("cannot upload a memoryview with gaps: pass bytes(view)")
        octets = opened.enter_context(view.cast("B"))
        yield MemorySource(opened.enter_context(octets[start:]))


def _open_file(file: Any, opened: contextlib.ExitStack, pulse: Callable[[], None]) -> FileSource | bytearray:
    """Return a file as a source, or its content if it is small."""
    if not isinstance(file.read(0), bytes):
        raise _unfit(file)
    if not _is_seekable(file):
        content = _take(file, _BLOCK, pulse)
        if len(content) <= _SMALL:
            return content
        copy = _spool(file, content, opened.enter_context(tempfile.TemporaryFile()), pulse)
        return FileSource(copy, lambda: None)  # nobody else can change it
    origin, size = file.tell(), _size_of(file)
    if size is None or size - origin <= _SMALL:
        content = _take(file, _BLOCK if size is None else min(size - origin + 1, _BLOCK), pulse)
        file.seek(origin)
        if len(content) <= _SMALL:
            _compare(file, content)
            return content
    return FileSource(file, identity.watch(file))


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


def _blocks(file: Any, size: int = _BLOCK) -> Iterator[memoryview]:
    """Read a file to its end, in blocks that share one buffer."""
    block = memoryview(bytearray(size))
    while count := _fill(file, block):
        yield block[:count]


def _take(file: Any, size: int, pulse: Callable[[], None]) -> bytearray:
    """Read a small file, in blocks of ``size`` bytes, or more of a larger one than is small."""
    content = bytearray()
    for block in _blocks(file, size):
        content += block
        if len(content) > _SMALL:
            break
        pulse()
    return content


def _compare(file: Any, content: bytearray) -> None:
    """Read a file again, and raise an error if it has changed."""
    done = 0
    for block in _blocks(file, min(len(content) + 1, _BLOCK)):
        if content[done:done + len(block)] != block:
            raise ObjectChangedError("the source changed during the upload: nothing was stored")
        done += len(block)
    if done < len(content):
        raise ObjectChangedError("the source became shorter during the upload: nothing was stored")


def _size_of(file: Any) -> int | None:
    """Return the size of a system's file; None for anything else."""
    with contextlib.suppress(AttributeError, OSError):
        return os.fstat(file.fileno()).st_size
    return None


def _is_seekable(file: BinaryIO) -> bool:
    # Not a system file: take its own word for it.
    with contextlib.suppress(AttributeError, OSError):
        # A pipe on Windows claims that it can seek (bpo-42602).
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return False
    return hasattr(file, "seekable") and file.seekable()


def _spool(stream: BinaryIO, head: bytearray, file: Any, pulse: Callable[[], None]) -> BinaryIO:
    """Copy a stream, whose first bytes have been read, to a temporary file."""
    file.write(head)
    for block in _blocks(stream):
        file.write(block)
        pulse()
    file.seek(0)
    spooled: BinaryIO = file
    return spooled
