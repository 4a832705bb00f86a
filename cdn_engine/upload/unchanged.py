"""Decides by what is stored already whether to upload: not the same content again, nor over what is to be kept.

A read key can ask the store. A write key alone cannot: S3 has no request by which it could learn anything about an
object without sending one. A record of what was stored from here has to do then. It is only right as long as it is
removed before anything else is stored under that key, and written only if nothing else was meanwhile.
"""

import functools
import random
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from cdn_engine.errors import ObjectExistsError
from cdn_engine.log import log
from cdn_engine.phases import COMPARING
from cdn_engine.records import Record, Records, private, seal
from cdn_engine.result import TransferResult
from cdn_engine.upload.request import Requests
from cdn_engine.upload.state import State
from cdn_engine.wire import retry

__all__ = ["Find", "Replacement", "already_exists", "forget"]

Find: TypeAlias = Callable[[str, int], TransferResult | None]

_KEPT = 90 * 86400.0  # seconds that a record counts: a file that never changes is sent anew every three months
_SWEEP = 0.001  # how often the writer of a record looks at all others, to remove the old ones

_MARK = 16  # bytes

_records = Records("stored")


class Replacement:
    """An upload to a key under which there may be an object.

    Args:
        host: The endpoint.
        bucket: The bucket.
        key: The object's key.
        state: The upload's shared state.
        overwrite: As for ``CDNManager.store``: True, False or ``"changed"``.
        ask: Makes the requests of the same upload with a read key; None without one.

    Thread-safety: for the calling thread. Others, and other processes, may upload to the same key meanwhile.
    """

    def __init__(
        self, host: str, bucket: str, key: str, state: State, overwrite: bool | str, ask: Requests | None
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._state = state
        self._overwrite = overwrite
        self._ask = ask
        self._record = _records.of([host, bucket, key])
        self._mark: bytes | None = None  # stands in the record's place during an upload that is to be recorded
        self._has_begun = False

    def carry_out(self, upload: Callable[[Find], TransferResult]) -> TransferResult:
        """Upload, if that is needed.

        Args:
            upload: Uploads, unless the function that it is given returns a result, or raises. It calls that with the
                digest and the size in bytes of the payload, before anything is sent.
        """
        result = None
        try:
            result = upload(self._find)
            return result
        finally:
            if self._has_begun:
                self._end(result)

    def _find(self, sha256: str, size: int) -> TransferResult | None:
        """Return the result of an upload that is not needed. If it is, take note that it begins."""
        found = None
        if self._overwrite == "changed":
            found = self._recall(sha256) if self._ask is None else self._look(self._ask, sha256, size)
        elif not self._overwrite and self._ask is not None and self._head(self._ask) is not None:
            # The store would say so too, but not before it has all parts; Ceph not even then.
            raise already_exists()
        if found is None:
            self._begin()
            return None
        etag, version = found.get("ETag"), found.get("VersionId")
        return TransferResult(
            self._bucket, self._key, size, etag and etag.strip('"'), sha256, False, 0, 0, version, skipped=True
        )

    def _look(self, ask: Requests, sha256: str, size: int) -> dict[str, Any] | None:
        """Return what the store says about the object if it has this content."""
        head = self._head(ask)
        if head is None:
            return None
        # Some stores change the letter case of metadata, or leave out the length.
        is_same = head["Metadata"].get("sha256", "").lower() == sha256 and head.get("ContentLength", size) == size
        return head if is_same else None

    def _head(self, ask: Requests) -> dict[str, Any] | None:
        """Return what the store says about the object; None if there is none, as far as this key may see."""
        self._state.enter(COMPARING)
        self._state.in_calling_thread = True
        try:
            return ask.call("HeadObject")
        except ClientError as error:
            if (retry.status_of(error) or 0) >= 500:
                raise
            self._state.failure = None  # there is none, or this key may not see it: no failure of the upload
            return None
        finally:
            self._state.in_calling_thread = False

    def _recall(self, sha256: str) -> dict[str, Any] | None:
        """Return what the store answered when this content was stored, and nothing else was since."""
        content = self._record.read() or {}
        at = content.get("at")
        is_recent = type(at) is float and abs(time.time() - at) < _KEPT
        return content if is_recent and content.get("sha256") == sha256 else None

    def _begin(self) -> None:
        self._has_begun = True
        self._record.remove()
        if self._overwrite == "changed" and self._ask is None:
            self._mark = _put_mark(self._record)

    def _end(self, result: TransferResult | None) -> None:
        """Record what is stored. If something else may be, be sure that there is no record.

        Args:
            result: The result of the upload; None if it failed, and the object may be the old one or the new one.
        """
        if result is None or self._mark is None or not self._write(result, self._mark):
            self._record.remove()
        elif random.random() < _SWEEP:
            for record in _records.older_than(_KEPT):
                record.remove()

    def _write(self, result: TransferResult, mark: bytes) -> bool:
        """Write the record in the mark's place. Return False if that is not there any more."""
        content = {"sha256": result.sha256, "ETag": result.etag, "VersionId": result.version_id, "at": time.time()}
        try:
            with open(self._record.path, "r+b", buffering=0) as file:
                if file.read(_MARK + 1) != mark:
                    return False
                file.seek(0)
                file.write(seal(content))
        except OSError:
            return False
        return True


def already_exists() -> ObjectExistsError:
    """Return the failure of an upload that was to replace nothing."""
    return ObjectExistsError("the object already exists and was not replaced")


def forget(host: str, bucket: str, key: str) -> None:
    """Forget what was stored under a key, before and after the object is removed.

    Before, in case this process dies in between; after, because an upload may have ended in between.
    """
    _records.of([host, bucket, key]).remove()


def _put_mark(record: Record) -> bytes | None:
    """Put something that is no record, and of which there is only one, into a record's place. Return it.

    Two writes of whole records would take as long as an upload of a small file.
    """
    mark = secrets.token_bytes(_MARK)
    try:
        record.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(record.path, "xb", buffering=0, opener=private) as file:
            file.write(mark)
    except FileExistsError:  # of another upload that began at the same time
        return None
    except OSError as error:
        _say_that_nothing_is_recorded(str(record.path.parent), str(error.strerror))
        return None
    return mark


@functools.cache
def _say_that_nothing_is_recorded(folder: str, reason: str) -> None:
    """Log it, but not for every file of many."""
    log(f"no record can be kept in {folder!r}: {reason}: unchanged files are sent again")
