"""The record of which bytes of an unfinished download are safely on disk, and of which object."""

import contextlib
from io import FileIO
from typing import Any, NamedTuple

from cdn_engine import _disk
from cdn_engine.download.folder import Folder
from cdn_engine.download.own_file import open_own, unlink_own
from cdn_engine.records import seal, unseal

__all__ = ["Journal", "Record"]

_VERSION = 1
_MAX_SIZE = 1 << 20  # bytes; a journal has a few hundred
_SPARE = 4096  # bytes; one block of most file systems, and room for any journal


class Record(NamedTuple):
    """What a journal says.

    Attributes:
        identity: What tells the object from others.
        size: The object's length in bytes.
        etag: Its ETag, if it has one.
        sha256: Its digest in hex, if it is known.
        finished: The ranges that are on disk as (start, stop), in order and apart.
    """

    identity: dict[str, Any]
    size: int
    etag: str | None
    sha256: str | None
    finished: list[tuple[int, int]]


class Journal:
    """A small file that is replaced atomically, with a checksum of its content.

    Args:
        folder: Where it is; entered.
        name: Its name. The next journal is written to ``name`` with ``.new`` appended.

    Thread-safety: not safe; the holder of the partial's lock uses it.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self.name = name
        self.new_name = f"{name}.new"

    def read(self) -> Record | None:
        """Return what ``write`` was last given; None if there is no journal that can be read, or it is damaged."""
        try:
            with open_own(self._folder.directory, self.name, "r") as file:
                return _parse(unseal(file.read(_MAX_SIZE)))
        except (FileNotFoundError, PermissionError):  # none, or another user's
            return None

    def write(self, record: Record) -> None:
        """Replace the journal atomically and durably. The data it vouches for must have been synced before."""
        with self._open_new() as file:
            file.write(seal({"journal": _VERSION, **record._asdict()}))
            file.truncate()
            _disk.sync(file.fileno())
        self._folder.directory.replace(self.new_name, self.name)
        self.reserve()

    def reserve(self) -> None:
        """Take the disk space of the next journal, so that it can be written when the disk is full."""
        with contextlib.suppress(OSError), self._open_new() as file:
            file.write(bytes(_SPARE))

    def remove(self) -> bool:
        """Remove the journal and the reserved space. Return True if there was a journal."""
        unlink_own(self._folder.directory, self.new_name)
        return unlink_own(self._folder.directory, self.name)

    def _open_new(self) -> FileIO:
        directory = self._folder.directory
        try:
            return open_own(directory, self.new_name, "r+", create=True)
        except PermissionError:  # another user's, from a download that this one has taken over
            unlink_own(directory, self.new_name)
            return open_own(directory, self.new_name, "r+", create=True)


def _parse(state: dict[str, Any] | None) -> Record | None:
    """Return the record in a journal; None if it has not the shape of one, as another version may write it."""
    try:
        if state is None or state.pop("journal") != _VERSION:
            return None
        finished = [(start, stop) for start, stop in state.pop("finished")]
        record = Record(**state, finished=finished)
    except (ValueError, TypeError, KeyError):
        return None
    return record if _is_valid(record) else None


def _is_valid(record: Record) -> bool:
    """Return True if all types are right, and the ranges are in order, apart, and within the object."""
    texts = [text for text in (record.etag, record.sha256) if text is not None]  # one tells the object from another
    if type(record.identity) is not dict or not texts or not all(type(text) is str for text in texts):
        return False
    edges = [edge for span in record.finished for edge in span]
    if not all(type(number) is int for number in [record.size, *edges]):
        return False
    inside = [0, *edges, record.size]
    return inside == sorted(inside) and all(start < stop for start, stop in record.finished)
