"""One upload, from the digest of its payload to the store's answer."""

import time
from typing import Any

from boto3.s3.transfer import TransferConfig

from cdn_engine.errors import OutcomeUnknownError, explain
from cdn_engine.phases import HASHING, SENDING, WAITING
from cdn_engine.result import TransferResult
from cdn_engine.upload.body import Body
from cdn_engine.upload.caller import carry_out
from cdn_engine.upload.digest import hash_payload
from cdn_engine.upload.journal import Journal
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.multipart import MultipartUpload
from cdn_engine.upload.request import Broken, Requests
from cdn_engine.upload.source import Source, changed
from cdn_engine.upload.state import Over, State
from cdn_engine.upload.unchanged import Find, already_exists
from cdn_engine.wire import retry
from cdn_engine.wire.store import Store

__all__ = ["Transfer"]

# A store that refuses a request without reading its body may reset the connection before its answer is read. After so
# many breaks the payload goes in parts: the first request of a multipart upload has no body, so a refusal arrives.
_BREAKS = 2

_BEGINNING = "CreateMultipartUpload"


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
        keep: Keep what the store has of an upload in parts that does not end, for a later call.
        pinned: The SHA-256 that the payload must have, in hex; None for any.

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
        keep: bool = True,
        pinned: str | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._bucket = bucket
        self._key = key
        self._extra = extra
        self._state = state
        self._config = config
        self._pinned = pinned
        self._skipped = False
        self._keep = keep and not any(name.startswith("SSECustomer") for name in extra)  # whose key is a secret

    def run(self, find: Find) -> TransferResult:
        """Upload. After a failure no unfinished multipart upload remains at the store, or the log names it.

        Args:
            find: Called with the payload's digest and size. What it returns is the result; None to upload.
        """
        requests = None
        self._state.size = self._source.size
        try:
            layout = self._layout() if self._source.size > Layout.threshold(self._config) else None
            sha256, digests = self._hash(layout)
            if self._pinned not in (None, sha256):
                raise changed()
            if (found := find(sha256, self._source.size)) is not None:
                return found
            self._source.begin(sha256, self._state.check)
            extra = {**self._extra, "Metadata": {**self._extra.get("Metadata", {}), "sha256": sha256}}
            requests = Requests(self._store, self._bucket, self._key, extra, self._state)
            if layout is None:
                answer = self._put(requests, sha256)
            else:
                answer = self._put_parts(requests, sha256, layout, digests)
            self._state.report()
            return self._result(sha256, answer)
        except Over:
            error = self._state.ended_by
        except Exception as failure:
            error = failure
        assert error is not None
        raise self._verdict(error, None if requests is None else requests.lost)

    def _layout(self) -> Layout:
        return Layout.of(self._source.size, self._config)

    def _hash(self, layout: Layout | None) -> tuple[str, list[str]]:
        """Return the digest of the payload, and those of its parts if something will be compared with them."""
        needs_parts = self._store.signs_payload or not self._source.is_sure
        part = layout.part if layout is not None and needs_parts else None
        self._state.enter(HASHING)
        digests = hash_payload(self._source.blocks(), part, self._state.note_read)
        self._state.moved_at = time.monotonic()
        return digests

    def _put(self, requests: Requests, sha256: str) -> dict[str, Any]:
        """Upload in one request, which this thread makes; in parts if connections break."""
        source, state = self._source, self._state
        breaks = _BREAKS if source.size else None
        state.enter(SENDING)
        state.in_calling_thread = True
        try:
            return requests.call("PutObject", lambda: Body(source, 0, source.size, state, sha256), breaks)
        except Broken:
            pass
        finally:
            state.in_calling_thread = False
        layout = self._layout()
        found, digests = self._hash(layout)
        if found != sha256:
            raise changed()
        return self._put_parts(requests, sha256, layout, digests)

    def _put_parts(self, requests: Requests, sha256: str, layout: Layout, digests: list[str]) -> dict[str, Any]:
        state, journal = self._state, self._journal(sha256)
        try:
            began = time.time()
            if journal is not None and not self._acquire(journal):
                journal = None
            if journal is not None and journal.waited and (stored := journal.finished_since(began)):
                if "IfNoneMatch" in self._extra:
                    raise already_exists()
                self._skipped = True
                return {"ETag": stored["etag"], "VersionId": stored["version_id"]}
            return carry_out(state, MultipartUpload(requests, state, self._source, layout, digests, journal).run)
        finally:
            if journal is not None:
                journal.release()

    def _journal(self, sha256: str) -> Journal | None:
        if not self._keep:
            return None
        begins = {name: value for name, value in self._extra.items() if self._store.takes(_BEGINNING, name)}
        return Journal(self._store.url, self._bucket, self._key, sha256, begins)

    def _acquire(self, journal: Journal) -> bool:
        state = self._state

        def wait(seconds: float) -> bool:
            state.enter(WAITING)
            return state.wait(seconds)

        state.in_calling_thread = True
        try:
            return journal.acquire(state.name, wait)
        finally:
            state.in_calling_thread = False

    def _result(self, sha256: str, answer: dict[str, Any]) -> TransferResult:
        state = self._state
        return TransferResult(
            self._bucket, self._key, self._source.size, answer["ETag"].strip('"'), sha256, False,
            state.sent, state.resumed, answer.get("VersionId"), self._skipped,
        )  # fmt: skip

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
            verdict = already_exists()
        else:
            return error
        verdict.__cause__ = error
        return verdict
