"""One upload, from the digest of its payload to the store's answer."""

import hashlib
import time
from typing import Any

from boto3.s3.transfer import TransferConfig

from cdn_engine.errors import ObjectExistsError, OutcomeUnknownError, explain
from cdn_engine.result import TransferResult
from cdn_engine.upload.body import Body, FileBody
from cdn_engine.upload.caller import carry_out
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.multipart import MultipartUpload
from cdn_engine.upload.request import Broken, Requests
from cdn_engine.upload.source import Source
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry
from cdn_engine.wire.store import Store

__all__ = ["Transfer"]

# A store that refuses a request without reading its body may reset the connection before its answer is read. After so
# many breaks the payload goes in parts: the first request of a multipart upload has no body, so a refusal arrives.
_BREAKS = 2


class Transfer:
    """One upload.

    Args:
        store: The store.
        source: The payload.
        bucket: The bucket.
        key: The object's key.
        extra: Arguments for every request that accepts them.
        state: The upload's shared state.
        config: The caller's ``TransferConfig``; None for our own settings.

    Thread-safety: for the calling thread.
    """

    def __init__(
        self,
        store: Store,
        source: Source,
        bucket: str,
        key: str,
        extra: dict[str, Any],
        state: State,
        config: TransferConfig | None,
    ) -> None:
        self._store = store
        self._source = source
        self._bucket = bucket
        self._key = key
        self._extra = extra
        self._state = state
        self._config = config

    def run(self) -> TransferResult:
        """Upload. After a failure no unfinished multipart upload remains at the store, or the log names it."""
        requests = None
        try:
            sha256 = self._digest()
            extra = {**self._extra, "Metadata": {**self._extra.get("Metadata", {}), "sha256": sha256}}
            requests = Requests(self._store, self._bucket, self._key, extra, self._state)
            answer = self._upload(requests, sha256)
            self._state.report()
            return TransferResult(
                self._bucket, self._key, self._source.size, answer["ETag"].strip('"'), sha256, False,
                self._state.sent, 0, answer.get("VersionId"),
            )  # fmt: skip
        except Over:
            error = self._state.ended_by
        except Exception as failure:
            error = failure
        assert error is not None
        raise self._verdict(error, None if requests is None else requests.lost)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for block in self._source.blocks():
            with block:
                digest.update(block)
            self._state.keep_watch()
            self._state.check()
        self._state.moved_at = time.monotonic()
        return digest.hexdigest()

    def _upload(self, requests: Requests, sha256: str) -> dict[str, Any]:
        if self._source.size <= Layout.threshold(self._config):
            try:
                return self._put_in_this_thread(requests, sha256)
            except Broken:
                pass
        upload = MultipartUpload(requests, self._state, self._source, sha256, self._config)
        return carry_out(self._state, upload.run)

    def _put_in_this_thread(self, requests: Requests, sha256: str) -> dict[str, Any]:
        self._state.in_calling_thread = True
        try:
            return self._put(requests, sha256)
        finally:
            self._state.in_calling_thread = False

    def _put(self, requests: Requests, sha256: str) -> dict[str, Any]:
        source, state = self._source, self._state
        breaks = _BREAKS if source.size else None
        if not source.in_memory:
            return requests.call("PutObject", lambda: FileBody(source, sha256, state), breaks)
        with source.part(0, source.size, None) as view:
            return requests.call("PutObject", lambda: Body(view, state, sha256), breaks)

    def _verdict(self, error: BaseException, lost: BaseException | None) -> BaseException:
        """Return what to raise: tell an object that already existed from one that may be ours."""
        verdict: BaseException
        if isinstance(error, OutcomeUnknownError) or error is self._state.interrupted_by:
            return error
        if lost is not None:
            verdict = OutcomeUnknownError(
                f"an answer of the store was lost ({explain(lost)}), and a retry could not tell whether the object was "
                f"stored ({explain(error)}): it may be stored; look with a downloader key"
            )
        elif retry.status_of(error) == 412 and "IfNoneMatch" in self._extra:
            verdict = ObjectExistsError("the object already exists and was not replaced")
        else:
            return error
        verdict.__cause__ = error
        return verdict
