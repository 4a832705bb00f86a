"""Downloads a small object into memory: whole, compared with its digest, and never more than the caller allows."""

import hashlib
import time
from collections.abc import Callable

from cdn_engine.download.answer import Answer, Version
from cdn_engine.download.judge import refuse_web_page
from cdn_engine.download.remote import RemoteObject
from cdn_engine.errors import StoreProtocolError
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import TICK, Attempt
from cdn_engine.wire.pace import Pace

__all__ = ["read_object", "wait"]

_PIECE = 64 << 10  # bytes


def read_object(remote: RemoteObject, most: int, pulse: Callable[[], object]) -> bytes | None:
    """Return the content of an object; None if it is larger than it may be.

    Args:
        remote: The object.
        most: Bytes that it may have. More are never read.
        pulse: Called again and again. An exception in it ends the download.

    Raises:
        IntegrityError: The content does not match the digest in the object's metadata.
        NotAStoreError, StoreProtocolError: What answers is no store, or contradicts itself.
        botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.
    """
    failures = 0
    while True:
        try:
            return _read(remote, most, pulse)
        except Exception as error:
            failures += 1
            pause = retry.delay(error, failures, remote.name)
            if pause is None:
                raise
        wait(pause, pulse)


def _read(remote: RemoteObject, most: int, pulse: Callable[[], object]) -> bytes | None:
    response = remote.get(Attempt(pulse=pulse), {})
    body, pace, version = response["Body"], Pace(), Version(None)
    content, piece = bytearray(), memoryview(bytearray(_PIECE))
    try:
        refuse_web_page(response, remote.key)
        answer = Answer.of(response)
        if (answer.total or 0) > most:
            return None
        while count := body.readinto(piece[:pace.piece]):
            content += piece[:count]
            if len(content) > most:
                return None
            pulse()
            pace.keep(count, lambda seconds: wait(seconds, pulse))
    finally:
        body.close()
    if answer.first or answer.total not in (None, len(content)):
        raise StoreProtocolError(f"the store sent {len(content)} bytes of {answer.total}")
    version.learn(answer)
    if version.sha256 is not None:
        version.verify(hashlib.sha256(content).hexdigest())
    return bytes(content)


def wait(seconds: float, pulse: Callable[[], object]) -> None:
    """Wait between two attempts, and pulse meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, TICK))
        pulse()
