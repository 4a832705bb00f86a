"""Opens what the caller passes as the payload of an upload.

What fits into a small buffer is read into memory, and a file once more to be compared.
"""

import contextlib
import io
import mmap
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from cdn_engine.upload import identity
from cdn_engine.upload.source import FileSource, MemorySource, Source, blocks_of, changed

__all__ = ["open_source"]

_SMALL = 8 << 20  # bytes that are kept in memory
_BLOCK = 1 << 20  # bytes that are read at once
_LITTLE = 64 << 10  # the same where the system says that there are fewer; of /proc's files it says none


@contextlib.contextmanager
def open_source(source: Any, pulse: Callable[[int], None]) -> Iterator[Source]:
    """Open a payload.

    Args:
        source: Bytes-like; a path; or a binary file object, which is read from its current position and stays open.
        pulse: Called with the size of each block that is read. An exception in it ends the reading.

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


def _open_file(file: Any, opened: contextlib.ExitStack, pulse: Callable[[int], None]) -> FileSource | bytearray:
    """Return a file as a source, or its content if it is small."""
    if not isinstance(file.read(0), bytes):
        raise _unfit(file)
    if not _is_seekable(file):
        return _copy(file, opened, pulse)
    origin, size = file.tell(), os.fstat(file.fileno()).st_size if identity.is_plain(file) else None
    if size is None or size - origin <= _SMALL:
        block = _BLOCK if size is None else min(max(_LITTLE, size - origin + 1), _BLOCK)
        content = _take(file, block, pulse)
        file.seek(origin)
        if len(content) <= _SMALL:
            _compare(file, content, block)
            return content
        size = origin + _count(file, pulse)
        file.seek(origin)
    return FileSource(file, size - origin, identity.watch(file))


def _copy(stream: Any, opened: contextlib.ExitStack, pulse: Callable[[int], None]) -> FileSource | bytearray:
    """Return what a stream brings, from a temporary file if it is more than a little."""
    head = _take(stream, _BLOCK, pulse)
    if len(head) <= _SMALL:
        return head
    copy: Any = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is entered
    copy.write(head)
    size = len(head)
    for block in blocks_of(stream):
        copy.write(block)
        size += len(block)
        pulse(len(block))
    copy.seek(0)
    return FileSource(copy, size, lambda: None)  # nobody else can change it


def _take(file: Any, size: int, pulse: Callable[[int], None]) -> bytearray:
    """Read a small file, in blocks of ``size`` bytes, or a little more of one that is not small."""
    content = bytearray()
    for block in blocks_of(file, size):
        content += block
        if len(content) > _SMALL:
            break
        pulse(len(block))
    return content


def _compare(file: Any, content: bytearray, size: int) -> None:
    done = 0
    for block in blocks_of(file, size):
        if content[done:done + len(block)] != block:
            raise changed()
        done += len(block)
    if done < len(content):
        raise changed()


def _count(file: Any, pulse: Callable[[int], None]) -> int:
    """Return how many bytes there are: ``seek`` cannot tell for everything that can seek (gzip)."""
    size = 0
    for block in blocks_of(file):
        size += len(block)
        pulse(len(block))
    return size


def _unfit(source: object) -> TypeError:
    return TypeError(f"cannot upload a {type(source).__name__}: pass bytes, a path or a binary file object")


def _is_seekable(file: BinaryIO) -> bool:
    # Not a system file: take its own word for it.
    with contextlib.suppress(AttributeError, OSError):
        # A pipe on Windows claims that it can seek (bpo-42602).
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return False
    return hasattr(file, "seekable") and file.seekable()
