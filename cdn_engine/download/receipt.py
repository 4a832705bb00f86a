"""Remembers of which object a finished file is, where the object carries no digest that could tell.

The record is in the user's state directory. It holds for a file with the same inode, size and times. No program can set
``st_ctime`` back; but the system's clock for files ticks every 1 to 10 ms, so that a change soon after another may
leave the same times. A new file is therefore dated before it is installed, to the nanosecond and between two ticks:
whatever writes to it from then on gives it another ``st_mtime``. A file system that does not keep such a time gets no
record. What remains are stores through a shared mapping on tmpfs, which never set a time.
"""

import contextlib
import os
import threading
import time
from typing import Any

from cdn_engine.download.answer import Version
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.records import Record, Records

__all__ = ["Receipt"]

_KIND = "downloads"
_SMALL = 1 << 20  # bytes that are compared with an MD5 sooner than a record is made
_UNUSED = 90 * 86400.0  # seconds after which a record that was not used is removed
_SETTLED = 2 * 10**9  # nanoseconds until a change certainly leaves another time, whatever the file system

# On Windows ``st_ctime`` is not the time of the last change.
_HAS_CHANGE_TIME = os.name != "nt"


class Receipt:
    """What is remembered of one file.

    Args:
        remote: The object.
        partial: Knows the file.
        version: What is known of the object. Nothing is remembered if that is a digest, or no strong ETag.

    Thread-safety: for one thread at a time.
    """

    def __init__(self, remote: RemoteObject, partial: Partial, version: Version) -> None:
        self._object = remote.identity()
        self._partial = partial
        self._version = version
        self._is_wanted = _HAS_CHANGE_TIME and version.sha256 is None and version.etag is not None
        self._dated: tuple[int, int] | None = None

    def date(self, descriptor: int) -> None:
        """Give the open file, which is written and not yet installed, a time that every later change replaces."""
        if self._is_wanted:
            now = time.time_ns()
            with contextlib.suppress(OSError):
                os.utime(descriptor, ns=(now, now))
                self._dated = os.fstat(descriptor).st_ino, now

    def keep(self) -> None:
        """Remember the file that was dated, if it has been installed and has not been changed since."""
        if self._dated is None:
            return
        with contextlib.suppress(OSError), self._partial.open_final() or contextlib.nullcontext() as file:
            if file is not None and self._dated == ((status := os.fstat(file.fileno())).st_ino, status.st_mtime_ns):
                self._write(status)

    def keep_compared(self, before: os.stat_result, after: os.stat_result) -> None:
        """Remember a file whose content was compared with the object's, unless it changed lately.

        Args:
            before: The file's status before its first byte was read.
            after: Its status after its last one.
        """
        is_settled = time.time_ns() - max(before.st_mtime_ns, before.st_ctime_ns) > _SETTLED
        if self._is_wanted and is_settled and _facts_of(before) == _facts_of(after):
            self._write(after)

    def recall(self, status: os.stat_result) -> bool:
        """Return True if a file is remembered to be this object. The version then learns by what it was verified.

        Args:
            status: The file's status.
        """
        record = self._record()
        found = record.read() if self._is_wanted else None
        verified_by = None if found is None else found.get("verified_by")
        if verified_by not in (None, "md5") or found != self._content(status, verified_by):
            return False
        with contextlib.suppress(OSError):
            os.utime(record.path)  # it is of use
        self._version.verified_by = verified_by
        return True

    def _record(self) -> Record:
        return Records(_KIND).of([self._partial.final])

    def _write(self, status: os.stat_result) -> None:
        if self._version.verified_by is not None and status.st_size <= _SMALL:
            return
        if self._record().write(self._content(status, self._version.verified_by)):
            _clean_up()

    def _content(self, status: os.stat_result, verified_by: str | None) -> dict[str, Any]:
        version = self._version
        answer = {"etag": version.etag, "version_id": version.version_id, "verified_by": verified_by}
        return {"object": self._object, **answer, "file": _facts_of(status)}


def _facts_of(status: os.stat_result) -> list[int]:
    """Return what another file, or this one after a change, would not have. Devices get new numbers at each start."""
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


_cleaning = threading.Lock()  # taken once in a process


def _clean_up() -> None:
    """Remove what has not been used for long; once in a process."""
    if _cleaning.acquire(blocking=False):
        for record in Records(_KIND).older_than(_UNUSED):
            record.remove()
