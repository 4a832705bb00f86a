"""A multipart upload: parts over several connections, completed, or aborted."""

import threading
from typing import Any

from boto3.s3.transfer import TransferConfig

from cdn_engine import threads
from cdn_engine.errors import explain
from cdn_engine.log import logerror
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.request import Requests
from cdn_engine.upload.source import Source
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry

__all__ = ["MultipartUpload"]

_TICK = 0.05  # seconds between two looks of the calling thread
_ABORT_PATIENCE = 10.0  # seconds that retries of the abort may take, which Ctrl-C waits for


class MultipartUpload:
    """One multipart upload of a payload whose digest is known.

    Args:
        requests: Makes the upload's requests.
        state: The upload's shared state.
        source: The payload.
        sha256: Its digest.
        config: The caller's ``TransferConfig``; None for our own settings.

    Thread-safety: for the calling thread.
    """

    def __init__(
        self, requests: Requests, state: State, source: Source, sha256: str, config: TransferConfig | None
    ) -> None:
        self._requests = requests
        self._state = state
        self._source = source
        self._sha256 = sha256
        self._layout = Layout.of(source.size, source.in_memory, config)
        self._reading = threading.Lock()  # guards the source and the next line
        self._next_part = 1
        self._parts: list[dict[str, Any]] = []  # those that the store has, for CompleteMultipartUpload

    def run(self) -> dict[str, Any]:
        """Upload. Return the answer to CompleteMultipartUpload; abort what cannot be completed."""
        upload_id = self._create()
        try:
            self._send_parts(upload_id)
            self._source.check_unchanged(self._sha256)
            parts = sorted(self._parts, key=lambda part: part["PartNumber"])
            return self._requests.call("CompleteMultipartUpload", UploadId=upload_id, MultipartUpload={"Parts": parts})
        except BaseException as error:
            # Set before anything is called, where another Ctrl-C could come: it ends workers that one has left behind.
            self._state.ended_by = self._state.ended_by or error
            self._abort(upload_id)
            raise

    def _create(self) -> str:
        try:
            return str(self._requests.call("CreateMultipartUpload")["UploadId"])
        except Exception:
            raise
        except BaseException:  # the store may have begun the upload already
            logerror(
                f"interrupted while beginning the multipart upload of {self._requests.target}: "
                "an unfinished upload may remain at the store"
            )
            raise

    def _send_parts(self, upload_id: str) -> None:
        """Send all parts over several connections."""
        state, layout = self._state, self._layout
        self._source.begin()
        workers = [
            threading.Thread(target=self._work, args=(upload_id,), name="cdn-upload", daemon=True)
            for _ in range(layout.connections)
        ]
        try:
            for worker in workers:
                threads.start(worker)
            while len(self._parts) < layout.count and state.ended_by is None:
                state.wait_for_news(_TICK)
                state.report()
        except BaseException as error:
            state.ended_by = state.ended_by or error
            state.end(error)
            raise
        finally:
            threads.join(workers)
        if state.ended_by is not None:
            raise state.ended_by
        state.report()

    def _work(self, upload_id: str) -> None:
        """Send parts over one connection until none is left."""
        state = self._state
        try:
            buffer = self._source.buffer(self._layout.part)
            while (part := self._read_next(buffer)) is not None:
                number, view = part
                with view:
                    answer = self._requests.call("UploadPart", view, UploadId=upload_id, PartNumber=number)
                with state.lock:
                    self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
                    state.notify()
        except Over:
            pass
        except BaseException as error:
            state.end(error)

    def _read_next(self, buffer: memoryview | None) -> tuple[int, memoryview] | None:
        """Read the next part. The parts are read in order, so that the digest of this second pass keeps up."""
        with self._reading:
            number = self._next_part
            if number > self._layout.count or self._state.ended_by is not None:
                return None
            self._next_part += 1
            start = (number - 1) * self._layout.part
            return number, self._source.part(start, min(start + self._layout.part, self._source.size), buffer)

    def _abort(self, upload_id: str) -> None:
        """Abort the unfinished upload. Another Ctrl-C ends the attempt, and the upload's id is logged."""
        try:
            self._requests.detached(_ABORT_PATIENCE).call("AbortMultipartUpload", UploadId=upload_id)
        except BaseException as error:
            if retry.status_of(error) != 404:
                logerror(
                    f"the unfinished multipart upload {upload_id!r} of {self._requests.target} remains at the store: "
                    f"{explain(error)}"
                )
            if not isinstance(error, Exception):
                raise
