"""The record of what the store has of an unfinished upload, from which a later call goes on, of any process.

It is found by host, bucket, key and the content's digest: nothing has to be asked of the store, as a write key alone
could not. The parts of one upload are of one content, cut in one way; so whatever a journal says, the object is right,
or the store refuses to put it together.
"""

import contextlib
import hashlib
import json
import math
import os
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from typing import Any

from cdn_engine.file_lock import lock_named, release
from cdn_engine.log import log
from cdn_engine.records import Record, Records
from cdn_engine.upload.layout import SMALLEST_PART

__all__ = ["WEEK", "Journal", "Unfinished", "bytes_kept", "resumable"]

WEEK = 7 * 86400.0  # seconds that an unfinished upload is kept

_VERSION = 1
_INTERVAL = 1.0  # seconds between two writings
_PAUSE = 60.0  # seconds until the next one if the disk refuses
_SILENT = 1.0  # seconds of waiting for another process before that is said
_POLL = 0.05  # seconds between two attempts to get the lock

_records = Records("uploads")
_open: "weakref.WeakSet[Journal]" = weakref.WeakSet()


@dataclass
class Unfinished:
    """An upload in parts.

    Attributes:
        host: The endpoint.
        bucket: The bucket.
        key: The object's key.
        upload_id: The store's name for the upload.
        part: Bytes of each part but the last.
        arguments: A digest of the arguments that it was begun with.
        arrived: The ETags of the parts that the store has, by number.
        completing_at: When the store was asked to put the parts together, in seconds since 1970; None if it was not.
    """

    host: str
    bucket: str
    key: str
    upload_id: str
    part: int
    arguments: str
    arrived: dict[int, str] = field(default_factory=dict)
    completing_at: float | None = None

    @classmethod
    def of(cls, record: Record) -> "Unfinished | None":
        """Read a record; None if there is none, it is damaged, or another version has written it."""
        content = record.read()
        try:
            if content is None or content.pop("journal") != _VERSION:
                return None
            found = cls(**{**content, "arrived": dict(content["arrived"])})
        except (KeyError, TypeError, ValueError):
            return None
        return found if found._is_valid() else None

    def _is_valid(self) -> bool:
        texts = [self.host, self.bucket, self.key, self.upload_id, self.arguments, *self.arrived.values()]
        numbers = [self.part, *self.arrived]
        return (
            all(type(text) is str and text for text in texts)
            and all(type(number) is int and number > 0 for number in numbers)
            and (self.completing_at is None or type(self.completing_at) is float)
        )

    def write(self, record: Record) -> bool:
        """Write it to a record. Return False if that is not possible."""
        return record.write({"journal": _VERSION, **vars(self), "arrived": sorted(self.arrived.items())})


class Journal:
    """The journal of one upload, which no other process carries on as long as this one holds its lock.

    Args:
        host: The endpoint.
        bucket: The bucket.
        key: The object's key.
        sha256: The digest of the content, in hex.
        extra: The arguments that the upload is begun with.

    Attributes:
        waited: True if another process has held the lock meanwhile.

    Thread-safety: for one thread at a time.
    """

    def __init__(self, host: str, bucket: str, key: str, sha256: str, extra: dict[str, Any]) -> None:
        self._subject = [host, bucket, key]
        self._record = _records.of(self._subject, sha256)
        self._lock_path = self._record.path.with_suffix(".lock")
        self._waiting = self._record.path.with_suffix(".waiting")  # is there if another process waits
        self._arguments = _digest_of(extra)
        self._lock: FileIO | None = None
        self._upload: Unfinished | None = None
        self._saved_at = 0.0
        self._saved = 0  # parts
        self.waited = False

    def acquire(self, name: str, wait: Callable[[float], object]) -> bool:
        """Take the lock. Return False if there can be no journal.

        Args:
            name: What is uploaded, for the log.
            wait: Waits for so many seconds, or raises.
        """
        _open.add(self)
        said_at = time.monotonic() + _SILENT
        while True:
            try:
                self._record.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._lock = lock_named(self._lock_path)
                if self._lock is None and not self.waited:
                    self.waited = True
                    self._waiting.touch(0o600)
            except OSError as error:
                log(f"{name}: no journal can be kept in {str(self._record.path.parent)!r}: {error.strerror}")
                return False
            if self._lock is not None:
                return True
            if time.monotonic() >= said_at:
                said_at = math.inf
                log(f"{name}: waiting for another process that uploads the same content")
            wait(_POLL)

    def release(self) -> None:
        """Let go of the lock. May be called again."""
        file, self._lock = self._lock, None
        if file is not None:
            release(file, self._lock_path)

    def abandon(self) -> None:
        """Close the lock in a forked child, which does not unlock the parent's."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def resume(self, part: int, count: int) -> Unfinished | None:
        """Return the upload from which this one can go on; None if there is none.

        Args:
            part: Bytes of each part but the last.
            count: How many parts there are.
        """
        found = Unfinished.of(self._record)
        if found is None or (found.part, found.arguments) != (part, self._arguments):
            return None
        if any(number > count for number in found.arrived):
            return None
        self._upload, self._saved = found, len(found.arrived)
        return found

    def begin(self, upload_id: str, part: int) -> bool:
        """Take note of a new upload. Return False if it cannot be written down."""
        host, bucket, key = self._subject
        self._upload = Unfinished(host, bucket, key, upload_id, part, self._arguments)
        self._saved = 0
        return self._write()

    def save(self, arrived: dict[int, str], at_once: bool = False) -> None:
        """Write down which parts have arrived, if there are new ones and the last time was a second ago.

        Args:
            arrived: Their ETags by number.
            at_once: Do not mind the time.
        """
        if self._upload is None or len(arrived) == self._saved:
            return
        if at_once or time.monotonic() - self._saved_at >= _INTERVAL:
            self._upload.arrived = dict(arrived)
            self._write()

    def note_completion(self) -> None:
        """Write down that the store is asked to put the parts together now."""
        if self._upload is not None:
            self._upload.completing_at = time.time()
            self._write()

    def forget(self) -> None:
        """Remove the journal: the upload is aborted."""
        self._upload = None
        self._record.remove()

    def finish(self, answer: dict[str, Any]) -> None:
        """Remove the journal: the object is stored. If another process waits, write that down for it instead.

        Args:
            answer: What the store has answered to CompleteMultipartUpload.
        """
        self._upload = None
        if self._waiting.exists():
            self._record.write({"etag": answer["ETag"], "version_id": answer.get("VersionId"), "at": time.time()})
            with contextlib.suppress(OSError):
                self._waiting.unlink()
        else:
            self._record.remove()

    def finished_since(self, began: float) -> dict[str, Any] | None:
        """Return what another process has written down since then; None if it has not finished.

        Args:
            began: Seconds since 1970.
        """
        content = self._record.read() or {}
        return content if type(content.get("at")) is float and content["at"] >= began else None

    def unwanted(self) -> Iterator[tuple[Unfinished, Callable[[], None]]]:
        """Yield the uploads that are to be aborted, each with what removes its journal, under their locks.

        These are all older ones of the same object, which only one of another content can take the place of, and those
        of the same host that nobody has gone on with for a week.
        """
        found = {record.path: record for record in _records.about(self._subject)}
        old = {record.path: record for record in _records.older_than(WEEK)}
        for path, record in {**found, **old}.items():
            if path == self._record.path:
                ours = None if self._upload is not None else Unfinished.of(record)
                if ours is not None and ours.completing_at is None:  # cut in another way
                    yield ours, record.remove
                continue
            with contextlib.suppress(OSError):
                lock_path = record.path.with_suffix(".lock")
                lock = lock_named(lock_path)
                if lock is None:
                    continue  # a process is at work on it
                try:
                    upload = Unfinished.of(record)
                    if upload is None:
                        record.remove()
                    elif upload.host == self._subject[0] and (path in old or upload.completing_at is None):
                        yield upload, record.remove
                finally:
                    release(lock, lock_path)

    def _write(self) -> bool:
        assert self._upload is not None
        self._saved, self._saved_at = len(self._upload.arrived), time.monotonic()
        is_written = self._upload.write(self._record)
        if not is_written:
            self._saved_at += _PAUSE
        return is_written


def bytes_kept(host: str, bucket: str, key: str, size: int) -> int:
    """Return how many bytes of a file of this size the store has, if it is what an earlier call was uploading there."""
    kept = 0
    for record in _records.about([host, bucket, key]) if size > SMALLEST_PART else ():
        found = Unfinished.of(record)
        if found is not None:
            starts = ((number - 1) * found.part for number in found.arrived)
            kept = max(kept, sum(min(found.part, size - start) for start in starts if start < size))
    return kept


def resumable(host: str, bucket: str) -> dict[str, Record]:
    """Return the journals of all uploads to a bucket with which this machine could go on, by the upload's id."""
    found = ((Unfinished.of(record), record) for record in _records.all())
    return {
        upload.upload_id: record
        for upload, record in found
        if upload is not None and (upload.host, upload.bucket) == (host, bucket)
    }


def _digest_of(extra: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(extra, sort_keys=True, default=str).encode()).hexdigest()


def _abandon_all() -> None:
    for journal in list(_open):
        journal.abandon()
    _open.clear()


# A forked child that outlives its parent would keep the parent's lock.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
