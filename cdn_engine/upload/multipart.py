"""A multipart upload: begun or gone on with, sent in parts, and completed, kept for a later call, or aborted."""

import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from cdn_engine.errors import ObjectChangedError, OutcomeUnknownError, explain
from cdn_engine.log import log, logerror
from cdn_engine.phases import FINISHING, SENDING
from cdn_engine.upload.completion import Completion
from cdn_engine.upload.crew import Crew
from cdn_engine.upload.gauge import Gauge
from cdn_engine.upload.journal import Journal, Unfinished
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.request import Cut, Requests, is_gone
from cdn_engine.upload.source import Source
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry
from cdn_engine.wire.keys import EXPIRED

__all__ = ["MultipartUpload"]

# What a store says that has lost parts of an upload.
_DOES_NOT_MATCH = frozenset({"EntityTooSmall", "InvalidPart", "InvalidPartOrder", "InvalidRequest"})

_ABORT_PATIENCE = 10.0  # seconds that the abort may take, which Ctrl-C waits for
_LATENCY = 0.1  # seconds that a store is thought to take for an answer, as long as it has given none


class _Gone(Exception):
    """The store has lost the upload."""


class MultipartUpload:
    """One multipart upload of a payload whose digest is known.

    Args:
        requests: Makes the upload's requests.
        state: The upload's shared state.
        source: The payload.
        layout: How it is cut.
        digests: The SHA-256 of each part, in hex; empty if they are not known.
        journal: Its journal, whose lock is held; None if the upload ends with this call.

    Thread-safety: for one thread.
    """

    def __init__(
        self,
        requests: Requests,
        state: State,
        source: Source,
        layout: Layout,
        digests: Sequence[str],
        journal: Journal | None,
    ) -> None:
        self._requests = requests
        self._state = state
        self._source = source
        self._layout = layout
        self._digests = digests
        self._journal = journal

    def run(self) -> dict[str, Any]:
        """Upload. Return the answer to CompleteMultipartUpload; keep or abort what cannot be completed.

        Raises:
            Over: The upload has ended.
            OutcomeUnknownError: The store may have the object, or still be making it.
        """
        unfinished = self._find_unfinished()
        if unfinished is not None:
            try:
                return self._go_on(unfinished)
            except _Gone as error:
                log(f"{self._state.name}: the store has lost the unfinished upload ({error}): beginning anew")
                self._state.start_over()
        return self._go_on(None)

    def _find_unfinished(self) -> Unfinished | None:
        """Return the upload to go on with, and abort those that are of no use any more."""
        if self._journal is None:
            return None
        found = self._journal.resume(self._layout.part, self._layout.count)
        end = time.monotonic() + _ABORT_PATIENCE
        for other, remove in self._journal.unwanted():
            if self._requests.abort(other.bucket, other.key, other.upload_id):
                remove()
            if time.monotonic() > end:
                break
        return found

    def _go_on(self, unfinished: Unfinished | None) -> dict[str, Any]:
        """Upload what is missing.

        Args:
            unfinished: The upload to go on with; None to begin one.
        """
        self._state.enter(SENDING)
        began = time.monotonic()
        upload_id = self._create() if unfinished is None else unfinished.upload_id
        latency = time.monotonic() - began if unfinished is None else _LATENCY
        completion = Completion(self._requests, self._state, upload_id, self._source.size)
        arrived = {} if unfinished is None else unfinished.arrived
        parts = Parts(self._source, self._layout, self._digests, self._state, self._journal, arrived)
        self._state.resume(parts.size_of(arrived))
        try:
            gauge = Gauge(parts, self._state, self._source.size, latency)
            Crew(self._requests, parts, self._state, upload_id, self._layout, gauge).run()
            if parts.gone is not None:
                raise parts.gone
            answer = self._complete(parts, completion, unfinished)
        except BaseException as error:
            if completion.is_open:
                self._leave(upload_id, error)
            elif not self._is_kept(parts, error):
                self._abort(upload_id)
            if unfinished is not None and self._is_lost(error):
                raise _Gone(explain(error)) from error
            raise
        if self._journal is not None:
            self._journal.finish(answer)
        return answer

    def _create(self) -> str:
        try:
            upload_id = str(self._requests.call("CreateMultipartUpload")["UploadId"])
        except Cut:
            logerror(
                f"{self._state.name}: interrupted while beginning a multipart upload: "
                "an unfinished upload may remain at the store, where CDNManager.orphans lists it"
            )
            raise
        if self._journal is not None and not self._journal.begin(upload_id, self._layout.part):
            self._journal = None
        return upload_id

    def _complete(self, parts: Parts, completion: Completion, unfinished: Unfinished | None) -> dict[str, Any]:
        self._state.enter(FINISHING)
        parts.save(at_once=True)
        asked_at = None if unfinished is None else unfinished.completing_at
        self._state.wait_until_reported()
        if self._journal is not None and asked_at is None:
            self._journal.note_completion()
        return completion.ask(parts.listing(), asked_at)

    def _is_kept(self, parts: Parts, error: BaseException) -> bool:
        """Return True if a later call can go on from here, and say so."""
        reason = self._state.ended_by or error
        has_expired = retry.code_of(reason) in EXPIRED  # a call with fresh keys can go on
        refused = isinstance(reason, ClientError) and not has_expired and not retry.is_transient(reason)
        if self._journal is None or not parts.arrived or refused or isinstance(reason, ObjectChangedError):
            return False
        parts.save(at_once=True)
        arrived, size = parts.size_of(parts.arrived), self._source.size
        logerror(
            f"{self._state.name}: {arrived >> 20} of {size >> 20} MiB are at the store: "
            "uploading the same content there again goes on from them, within a week"
        )
        return True

    def _is_lost(self, error: BaseException) -> bool:
        """Return True if the store has lost the upload, or some of its parts, and not put the object together."""
        if self._state.ended_by is not None or self._requests.lost is not None:
            return False
        return is_gone(error) or retry.code_of(error) in _DOES_NOT_MATCH

    def _leave(self, upload_id: str, error: BaseException) -> None:
        """Say that the store may be putting the object together. An abort now could destroy it."""
        reason = self._state.ended_by or error
        failure = explain(self._requests.lost or reason)
        again = "" if self._journal is None else "upload the same content again, which asks for the answer again, or "
        text = (
            f"the store has not answered CompleteMultipartUpload ({failure}): the object may be stored, now or later; "
            f"look with a downloader key. If it is not there after an hour, {again}abort the upload {upload_id!r}"
        )
        if self._state.interrupted_by is None:
            raise OutcomeUnknownError(text) from reason
        logerror(f"{self._state.name}: {text}")

    def _abort(self, upload_id: str) -> None:
        """Abort the unfinished upload, or log its id."""
        try:
            self._requests.after_the_end(_ABORT_PATIENCE).call("AbortMultipartUpload", UploadId=upload_id)
        except Exception as error:
            aftermath = self._state.aftermath
            reason = (aftermath and aftermath.ended_by) if isinstance(error, Over) else error
            if retry.status_of(error) != 404:
                logerror(
                    f"{self._state.name}: the unfinished multipart upload {upload_id!r} remains at the store: "
                    f"{explain(reason or error)}"
                )
                return
        if self._journal is not None:
            self._journal.forget()
