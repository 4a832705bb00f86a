"""CompleteMultipartUpload, which may take a store minutes, and must not be followed by anything until it is answered.

An abort behind an unanswered one has lost objects on real stores (ceph PR 60771, minio#10785).
"""

import time
from typing import Any

from cdn_engine.errors import StoreProtocolError, explain
from cdn_engine.log import log
from cdn_engine.upload.request import Cut, Requests, never_arrived
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt

__all__ = ["Completion"]

# Seconds that a store may take to put the parts together: AWS says "several minutes", gateways on slow disks take more.
_PATIENCE = 1800.0

# Seconds until a request whose answer was lost is made again: the store may still be at work on the first one, and two
# at once have left broken objects. By then most are done, and the second is told so.
_REST = 300.0

# The same if it was another process that asked: nobody knows how the store has answered it, and most need no time at
# all. Those that copy the parts have to be given it.
_SHORTEST_REST = 5.0
_COPIED = 50e6  # bytes a second


class Completion:
    """The end of one multipart upload.

    Args:
        requests: Makes the requests.
        state: The upload's shared state.
        upload_id: The upload's id.
        size: Bytes of all parts.

    Attributes:
        is_open: True if the store may be at work on a request that it has not answered.

    Thread-safety: for one thread.
    """

    def __init__(self, requests: Requests, state: State, upload_id: str, size: int) -> None:
        self._requests = requests
        self._state = state
        self._upload_id = upload_id
        self._size = size
        self.is_open = False

    def ask(self, parts: list[dict[str, Any]], asked_at: float | None = None) -> dict[str, Any]:
        """Complete the upload. Return the store's answer.

        Args:
            parts: Numbers and ETags of the parts.
            asked_at: When an earlier process asked the same, in seconds since 1970; None if none did.

        Raises:
            Over: The upload has ended meanwhile.
            Exception: The store refused, or its answer was lost too often.
        """
        if asked_at is not None:
            self._wait_for_an_earlier_one(asked_at)
        end = time.monotonic() + _PATIENCE
        failures = 0
        while True:
            try:
                return self._requests.attempt(
                    "CompleteMultipartUpload", None, Attempt(max(_REST, end - time.monotonic())),
                    UploadId=self._upload_id, MultipartUpload={"Parts": parts},
                )  # fmt: skip
            except Cut:
                self.is_open = True
                raise
            except Over:
                raise
            except Exception as error:
                if _may_still_run(error):
                    self.is_open, failures = True, 0
                    pause = self._pause_after_loss(error, end)
                else:
                    failures += 1
                    pause = self._pause_after_answer(error, failures)
            if self._state.wait(pause):
                raise Over

    def _wait_for_an_earlier_one(self, asked_at: float) -> None:
        rest = min(_REST, max(_SHORTEST_REST, self._size / _COPIED))
        pause = min(asked_at + rest - time.time(), rest)
        if pause > 0:
            self.is_open = True
            log(
                f"{self._state.name}: an earlier process asked for CompleteMultipartUpload, and the store may still be "
                f"at work on it; asking again in {pause:.0f} s"
            )
            if self._state.wait(pause):
                raise Over
            self.is_open = False

    def _pause_after_loss(self, error: Exception, end: float) -> float:
        if time.monotonic() + _REST > end or not self._state.deadline.allows(_REST):
            raise error
        log(
            f"{self._state.name}: the answer to CompleteMultipartUpload was lost ({explain(error)}), and the store may "
            f"still be at work on it; asking again in {_REST:.0f} s"
        )
        return _REST

    def _pause_after_answer(self, error: Exception, failures: int) -> float:
        if failures == 1:
            self._state.moved_at = time.monotonic()  # the minutes before the answer are no outage
        pause, verdict = self._requests.judge(error, failures)
        if verdict is not None:
            raise verdict
        return pause


def _may_still_run(error: Exception) -> bool:
    """Return True unless the store itself has answered, or was never asked."""
    status = retry.status_of(error)
    if status is not None:
        # Without S3's code, it is a gateway that has given up waiting.
        return status >= 500 and (retry.code_of(error) or "0").isdecimal()
    return retry.is_transient(error) and not isinstance(error, StoreProtocolError) and not never_arrived(error)
