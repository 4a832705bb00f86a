"""The requests of one upload, each retried until it succeeds or retrying is pointless."""

import re
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

from cdn_engine.errors import TRANSFER_ERRORS, StoreProtocolError
from cdn_engine.upload.body import Body
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.store import Store

__all__ = ["Broken", "Cut", "Requests", "is_gone", "never_arrived"]

_ABORT_TIMEOUT = 5.0  # seconds that the store has to abort an upload that does not matter any more

_PATIENCE = 120.0  # seconds that retries may take, all together, while nothing gets through

# An answer without this is not a success.
_PROOF = {
    "PutObject": "ETag", "CreateMultipartUpload": "UploadId", "UploadPart": "ETag", "CompleteMultipartUpload": "ETag",
}
_REFUSED_BUSY = frozenset({"ServiceUnavailable", "SlowDown"})
_NEVER_ARRIVED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)

# How stores ask for Content-MD5 where Object Lock is on. AWS: "Content-MD5 OR x-amz-checksum- HTTP header is required
# for Put Object requests with Object Lock parameters"; MinIO has the code MissingContentMD5.
_WANTS_MD5 = re.compile("content-?md5|x-amz-checksum|object.?lock", re.IGNORECASE)


class Broken(Exception):
    """The connection broke as often as the caller of ``call`` allows."""


class Cut(Over):
    """The upload has ended while this request was under way: the store may have acted on it, or still do so."""


class Requests:
    """Makes the requests of one upload.

    Args:
        store: The store.
        bucket: The bucket.
        key: The object's key.
        extra: Arguments for every request that accepts them.
        state: The upload's shared state.

    Attributes:
        lost: The failure after which the object may be stored although a retry may be refused; None without one.

    Thread-safety: safe.
    """

    def __init__(self, store: Store, bucket: str, key: str, extra: dict[str, Any], state: State) -> None:
        self._store = store
        self._bucket = bucket
        self._key = key
        self._extra = extra
        self._state = state
        self.lost: BaseException | None = None
        state.needs_md5 |= any(name.startswith("ObjectLock") for name in extra)

    def after_the_end(self, seconds: float) -> "Requests":
        """Return a copy that the end of the upload does not affect, for ``seconds`` from now."""
        state = self._state.aftermath
        assert state is not None
        state.deadline = Deadline(seconds)
        return Requests(self._store, self._bucket, self._key, self._extra, state)

    def call(
        self, operation: str, make_body: Callable[[], Body] | None = None, breaks: int | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Make one request, with as many attempts as make sense.

        Args:
            operation: S3's name for the request.
            make_body: Returns its body, anew for each attempt; None without one.
            breaks: How many broken connections to accept; None for any number.
            arguments: Its arguments beside bucket, key and ``extra``.

        Returns:
            The answer.

        Raises:
            Broken: The connection broke ``breaks`` times.
            Over: The upload has ended meanwhile.
        """
        failures = broken = 0
        while True:
            try:
                return self.attempt(operation, make_body and make_body(), self._state.new_attempt(), **arguments)
            except Over:
                raise
            except Exception as error:
                failures += 1
                broken += isinstance(error, (HTTPClientError, SSLError))
                pause, verdict = self.judge(error, failures)
                if verdict is None and broken == breaks:
                    raise Broken from error
            if verdict is not None:
                raise verdict
            if self._state.wait(pause):
                raise Over

    def attempt(self, operation: str, body: Body | None, attempt: Attempt, **arguments: Any) -> dict[str, Any]:
        """Make one request once, or twice if the store asks for ``Content-MD5``. Arguments: as for ``call``.

        Raises:
            Cut: The upload has ended meanwhile.
            Over: It had ended before.
        """
        takes = self._store.takes
        arguments.update({name: value for name, value in self._extra.items() if takes(operation, name)})
        try:
            return self._send(operation, body, attempt, arguments)
        except Over:
            raise
        except Exception as error:
            if self._state.ended_by is not None:
                raise Cut from None
            self._note_lost(operation, body, error)
            self._state.note_failure(error)
            raise

    def abort(self, bucket: str, key: str, upload_id: str) -> bool:
        """Try to abort another multipart upload. Return True if it does not exist any more.

        Raises:
            Over: The upload has ended.
        """
        attempt = Attempt(_ABORT_TIMEOUT)
        try:
            with self._state.running(attempt):
                named = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
                self._store.call("AbortMultipartUpload", named, attempt)
        except TRANSFER_ERRORS as error:
            self._state.check()
            return is_gone(error)
        return True

    def judge(self, error: Exception, failures: int) -> tuple[float, Exception | None]:
        """Return the seconds until the next attempt, and what to raise if there is to be none.

        Args:
            error: Why the last attempt failed.
            failures: Failed attempts in a row, this one included.
        """
        state = self._state
        pause = retry.delay(error, failures, state.name)
        if pause is None:
            return retry.retry_after(error), error
        if time.monotonic() + pause > state.moved_at + _PATIENCE:
            return pause, error
        return pause, None if state.deadline.allows(pause) else state.out_of_time()

    def _send(
        self, operation: str, body: Body | None, attempt: Attempt, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        while True:
            with_md5 = self._state.needs_md5 and body is not None
            if with_md5 and body is not None:
                arguments["ContentMD5"] = body.md5()
            try:
                with self._state.running(attempt):
                    return self._prove(operation, body, attempt, arguments)
            except BaseException as error:
                if body is not None:
                    self._state.take_back(body.sent)
                if with_md5 or body is None or not _asks_for_md5(error):
                    raise
                body.sent = 0
                self._state.needs_md5 = True
            finally:
                if body is not None:
                    body.release()

    def _prove(self, operation: str, body: Body | None, attempt: Attempt, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make the request. Return an answer that proves its success."""
        named = {"Bucket": self._bucket, "Key": self._key, **arguments}
        answer = self._store.call(operation, named, attempt, body)
        proof = _PROOF.get(operation)
        if proof is not None and not answer.get(proof):
            raise StoreProtocolError(f"the store's answer to {operation} has no {proof}: the request is not done")
        if body is not None and body.sent < len(body):
            raise StoreProtocolError(f"the store answered {operation} before it had read the whole body")
        self._state.moved_at = time.monotonic()
        return answer

    def _note_lost(self, operation: str, body: Body | None, error: Exception) -> None:
        """Remember a failure after which the store may have the object, and may refuse a retry."""
        if operation != "CompleteMultipartUpload" and (operation != "PutObject" or "IfNoneMatch" not in self._extra):
            return
        status = retry.status_of(error)
        if status is None:
            lost = not never_arrived(error) and (body is None or body.sent == len(body))
        else:
            # An overloaded store says so in its code; a bare 5xx is a proxy's, and the store may have acted.
            lost = status >= 500 and retry.code_of(error) not in _REFUSED_BUSY
        if lost:
            self.lost = error


def never_arrived(error: BaseException) -> bool:
    """Return True if the request cannot have reached the store."""
    return isinstance(error, _NEVER_ARRIVED)


def is_gone(error: BaseException) -> bool:
    """Return True if the store knows this multipart upload no more."""
    return retry.status_of(error) == 404 and retry.code_of(error) != "NoSuchBucket"


def _asks_for_md5(error: BaseException) -> bool:
    if not isinstance(error, ClientError) or retry.status_of(error) != 400:
        return False
    return _WANTS_MD5.search(f"{retry.code_of(error)} {error.response['Error'].get('Message')}") is not None
