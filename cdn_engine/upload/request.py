"""The requests of one upload, each retried until it succeeds or retrying is pointless."""

import time
from typing import Any

from botocore import xform_name
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

from cdn_engine.errors import StoreProtocolError
from cdn_engine.upload.body import Body
from cdn_engine.upload.state import Over, State
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.deadline import Deadline

__all__ = ["Broken", "Requests"]

_PATIENCE = 120.0  # seconds that retries may take, all together, while nothing gets through

# An answer without this is not a success.
_PROOF = {
    "PutObject": "ETag", "CreateMultipartUpload": "UploadId", "UploadPart": "ETag", "CompleteMultipartUpload": "ETag",
}
_REFUSED_BUSY = frozenset({"ServiceUnavailable", "SlowDown"})
_NEVER_ARRIVED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)


class Broken(Exception):
    """The connection broke as often as the caller of ``call`` allows."""


class Requests:
    """Makes the requests of one upload.

    Args:
        client: A boto3 S3 client.
        bucket: The bucket.
        key: The object's key.
        extra: Arguments for every request that accepts them.
        state: The upload's shared state.
        patience: Seconds that retries may take, all together, while nothing gets through; None for the usual time.

    Attributes:
        target: Bucket and key, for messages.
        lost: The failure after which the object may be stored although a retry may be refused; None without one.

    Thread-safety: safe.
    """

    def __init__(
        self, client: Any, bucket: str, key: str, extra: dict[str, Any], state: State, patience: float | None = None
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._extra = extra
        self._state = state
        self._patience = _PATIENCE if patience is None else patience
        self.target = f"{bucket!r}/{key!r}"
        self.lost: BaseException | None = None

    def detached(self, patience: float) -> "Requests":
        """Return a copy that the end of the upload, its deadline and its callback do not affect."""
        state = State(self._state.name, Deadline(None))
        return Requests(self._client, self._bucket, self._key, self._extra, state, patience)

    def call(
        self, operation: str, view: memoryview | None = None, breaks: int | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Make one request, with as many attempts as make sense.

        Args:
            operation: S3's name for the request.
            view: Its body; None without one.
            breaks: How many broken connections to accept; None for any number.
            arguments: Its arguments beside bucket, key and ``extra``.

        Returns:
            The answer.

        Raises:
            Broken: The connection broke ``breaks`` times.
            Over: The upload has ended meanwhile.
        """
        accepted = self._members(operation)
        arguments.update({name: value for name, value in self._extra.items() if name in accepted})
        failures = broken = 0
        while True:
            body = Body(view, self._state) if view else None
            try:
                return self._attempt(operation, body, arguments)
            except Exception as error:
                if self._state.ended_by is not None:
                    raise Over from None  # botocore wraps what a body raises, as if the network had failed
                failures += 1
                self._state.failure = error
                self._note_lost(operation, body, error)
                pause = self._pause_after(error, failures)
                broken += isinstance(error, (HTTPClientError, SSLError))
                if broken == breaks:
                    raise Broken from error
                if self._state.wait(pause):
                    raise Over from None
            finally:
                if body is not None:
                    body.release()

    def _members(self, operation: str) -> Any:
        return self._client.meta.service_model.operation_model(operation).input_shape.members

    def _attempt(self, operation: str, body: Body | None, arguments: dict[str, Any]) -> dict[str, Any]:
        if "Body" in self._members(operation):
            arguments["Body"] = b"" if body is None else body
        try:
            method = getattr(self._client, xform_name(operation))
            answer: dict[str, Any] = Attempt().call(method, Bucket=self._bucket, Key=self._key, **arguments)
            proof = _PROOF.get(operation)
            if proof is not None and not answer.get(proof):
                raise StoreProtocolError(f"the store's answer to {operation} has no {proof}: the request is not done")
            if body is not None and body.sent < len(body):
                raise StoreProtocolError(f"the store answered {operation} before it had read the whole body")
        except BaseException:
            if body is not None:
                self._state.take_back(body.sent)
            raise
        self._state.moved_at = time.monotonic()
        return answer

    def _note_lost(self, operation: str, body: Body | None, error: Exception) -> None:
        """Remember a failure after which the store may have the object, and may refuse a retry."""
        if operation != "CompleteMultipartUpload" and (operation != "PutObject" or "IfNoneMatch" not in self._extra):
            return
        status = retry.status_of(error)
        if status is None:
            lost = not isinstance(error, _NEVER_ARRIVED) and (body is None or body.sent == len(body))
        else:
            # An overloaded store says so in its code; a bare 5xx is a proxy's, and the store may have acted.
            lost = status >= 500 and retry.code_of(error) not in _REFUSED_BUSY
        if lost:
            self.lost = error

    def _pause_after(self, error: Exception, failures: int) -> float:
        """Return the seconds until the next attempt, or raise why there is none."""
        pause = retry.delay(error, failures, self._state.name)
        if pause is None or time.monotonic() + pause > self._state.moved_at + self._patience:
            raise error
        self._state.check_deadline(pause)
        return pause
