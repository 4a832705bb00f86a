"""A multipart upload: begun, sent in parts, and completed or aborted."""

import time
from collections.abc import Sequence
from typing import Any

from cdn_engine.errors import OutcomeUnknownError, explain
from cdn_engine.log import logerror
from cdn_engine.upload.completion import Completion
from cdn_engine.upload.crew import Crew
from cdn_engine.upload.gauge import Gauge
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.request import Cut, Requests
from cdn_engine.upload.source import Source
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry

__all__ = ["MultipartUpload"]

_ABORT_PATIENCE = 10.0  # seconds that the abort may take, which Ctrl-C waits for


class MultipartUpload:
    """One multipart upload of a payload whose digest is known.

    Args:
        requests: Makes the upload's requests.
        state: The upload's shared state.
        source: The payload.
        layout: How it is cut.
        digests: The SHA-256 of each part, in hex; empty if they are not known.

    Thread-safety: for one thread.
    """

    def __init__(
        self, requests: Requests, state: State, source: Source, layout: Layout, digests: Sequence[str]
    ) -> None:
        self._requests = requests
        self._state = state
        self._source = source
        self._layout = layout
        self._digests = digests

    def run(self) -> dict[str, Any]:
        """Upload. Return the answer to CompleteMultipartUpload; abort what cannot be completed.

        Raises:
            Over: The upload has ended.
            OutcomeUnknownError: The store may have the object, or still be making it.
        """
        began = time.monotonic()
        upload_id = self._create()
        latency = time.monotonic() - began
        completion = Completion(self._requests, self._state, upload_id)
        try:
            listing = self._send_parts(upload_id, latency)
            return completion.ask(listing)
        except BaseException as error:
            if completion.is_open:
                self._leave(upload_id, error)
            else:
                self._abort(upload_id)
            raise

    def _create(self) -> str:
        try:
            return str(self._requests.call("CreateMultipartUpload")["UploadId"])
        except Cut:
            logerror(
                f"{self._state.name}: interrupted while beginning a multipart upload: "
                "an unfinished upload may remain at the store, where CDNManager.orphans lists it"
            )
            raise

    def _send_parts(self, upload_id: str, latency: float) -> list[dict[str, Any]]:
        """Send all parts. Return their listing."""
        parts = Parts(self._source, self._layout, self._digests, self._state)
        gauge = Gauge(parts, self._state, self._source.size, latency)
        Crew(self._requests, parts, self._state, upload_id, self._layout, gauge).run()
        return parts.listing()

    def _leave(self, upload_id: str, error: BaseException) -> None:
        """Say that the store may be putting the object together. An abort now could destroy it."""
        reason = self._state.ended_by or error
        failure = explain(self._requests.lost or reason)
        text = (
            f"the store has not answered CompleteMultipartUpload ({failure}): the object may be stored, now or later; "
            f"look with a downloader key. If it is not there after an hour, abort the upload {upload_id!r}"
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
