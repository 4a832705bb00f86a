"""The record of which bytes of an unfinished download are safely on disk, and of which object."""

import contextlib
import hashlib
import json
import os
from typing import Any

from cdn_engine import _disk
from cdn_engine.download.own_file import open_own, stat_own, unlink_own

__all__ = ["Journal"]

_VERSION = 1
_MAX_SIZE = 1 << 20  # bytes; a journal has a few hundred
_SPARE = 4096  # bytes; one block of most file systems, and room for any journal


class Journal:
    """A small file that is replaced atomically, with a checksum of its content.

    Args:
        path: Its name. The next journal is written to ``path`` with ``.new`` appended.

    Thread-safety: not safe; the holder of the partial's lock uses it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.new_path = f"{path}.new"

    def read(self) -> dict[str, Any] | None:
        """Return what ``write`` was last given; None if there is no journal or it is damaged."""
        if stat_own(self.path) is None:
            return None
        with open_own(self.path, "r") as file:
            digest, _, body = file.read(_MAX_SIZE).partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        state: dict[str, Any] = json.loads(body)
        return state if state.pop("journal") == _VERSION else None

    def write(self, state: dict[str, Any]) -> None:
        """Replace the journal atomically and durably. The data it vouches for must have been synced before."""
        body = json.dumps({"journal": _VERSION, **state}).encode()
        with open_own(self.new_path, "r+", create=True) as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            file.truncate()
            _disk.sync(file.fileno())
        os.replace(self.new_path, self.path)
        self.reserve()

    def reserve(self) -> None:
        """Take the disk space of the next journal, so that it can be written when the disk is full."""
        with contextlib.suppress(OSError), open_own(self.new_path, "r+", create=True) as file:
            file.write(bytes(_SPARE))

    def remove(self) -> bool:
        """Remove the journal and the reserved space. Return True if there was a journal."""
        unlink_own(self.new_path)
        return unlink_own(self.path)
