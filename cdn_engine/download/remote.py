"""One object at the store: the requests that a download makes."""

from collections.abc import Callable
from typing import Any

from cdn_engine.download.answer import Version
from cdn_engine.errors import printable
from cdn_engine.log import logerror
from cdn_engine.result import TransferResult
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.deadline import Deadline, no_time_left
from cdn_engine.wire.store import Store

__all__ = ["RemoteObject"]


class RemoteObject:
    """An object, by bucket and key.

    Args:
        store: The store.
        bucket: The bucket.
        key: The object's key.
        extra: Further arguments for every request, such as ``VersionId``.

    Attributes:
        credential: What the requests are made with, in words.

    Thread-safety: safe.
    """

    def __init__(self, store: Store, bucket: str, key: str, extra: dict[str, Any]) -> None:
        self._store = store
        self._extra = extra
        self.bucket = bucket
        self.key = key
        self.name = printable(f"{bucket}/{key}")
        self.credential = "with the downloader key" if store.is_signed else "without a key"
        self.read_timeout: float | None = store.read_timeout  # seconds

    def identity(self) -> dict[str, Any]:
        """Return what tells this object from others in a journal."""
        return {
            "host": self._store.url,
            "bucket": self.bucket,
            "key": self.key,
            "version": self._extra.get("VersionId"),
        }

    def result(self, version: Version, size: int, transferred: int, resumed_from: int) -> TransferResult:
        """Return what a download of this object reports, and log it if nothing shows that it was this object."""
        if not version.recognizable:  # no plain success, for a caller of download() neither
            logerror(f"{self.name}: nothing was verified: the store sent neither an ETag nor a SHA-256")
        etag, verified_by = version.etag and version.etag.strip('"'), version.verified_by
        return TransferResult(
            self.bucket, self.key, size, etag, version.sha256, verified_by is not None, transferred, resumed_from,
            version.version_id, verified_by=verified_by,
        )  # fmt: skip

    def get(self, attempt: Attempt, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make one attempt at a GET. Return its answer, whose body the caller closes."""
        return self._call("GetObject", attempt, arguments)

    def _call(self, operation: str, attempt: Attempt, arguments: dict[str, Any]) -> dict[str, Any]:
        named = {"Bucket": self.bucket, "Key": self.key, **self._extra, **arguments}
        return self._store.call(operation, named, attempt)

    def head(
        self,
        deadline: Deadline,
        wait: Callable[[float], object],
        kept: str,
        attempt: Callable[[], Attempt] = Attempt,
    ) -> dict[str, Any]:
        """Ask for the object's metadata, and retry as often as that makes sense.

        Args:
            deadline: When to give up.
            wait: Called with the seconds until the next attempt; returns True to give up.
            kept: What the next call can resume from, for the message of a deadline.
            attempt: Returns what makes the next request.
        """
        failures = 0
        while True:
            try:
                return self._call("HeadObject", attempt(), {})
            except Exception as error:
                failures += 1
                pause = retry.delay(error, failures, self.name)
                if pause is None:
                    raise
                if not deadline.allows(pause):
                    raise no_time_left(error, kept) from error
                if wait(pause):
                    raise
