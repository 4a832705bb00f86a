"""Finds out whether the final file already has the object's content."""

import hashlib
import os
import time
from collections.abc import Callable
from io import FileIO

from botocore.exceptions import ClientError

from cdn_engine.download.answer import digest_of, strong_etag
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import BLOCK
from cdn_engine.errors import DeadlineExceededError
from cdn_engine.result import TransferResult
from cdn_engine.wire import retry
from cdn_engine.wire.deadline import Deadline

__all__ = ["existing_file"]

_TICK = 0.5  # seconds between two calls of ``callback``


def existing_file(
    remote: RemoteObject,
    partial: Partial,
    pinned: str | None,
    deadline: Deadline,
    callback: Callable[[int], object] | None,
) -> TransferResult | None:
    """Compare the file under the final name with the object's digest, for which one HEAD request is made.

    Args:
        remote: The object.
        partial: Knows the final name; its lock is held.
        pinned: The digest that the caller requires; None for the one in the object's metadata.
        deadline: When to give up.
        callback: Called with 0 while the file is being read; may raise.

    Returns:
        The result of a download that has nothing to transfer; None if the file is missing, differs, or cannot be
        compared.

    Raises:
        DeadlineExceededError: The deadline has passed.
        OSError: The file cannot be read.
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: The store does not answer, or with 5xx.
    """
    file = partial.open_final()
    if file is None:
        return None
    with file:
        try:
            head = remote.head(deadline, time.sleep, "nothing was downloaded")
        except ClientError as error:
            if (retry.status_of(error) or 0) >= 500:
                raise
            return None  # the GET will say it better, with the store's own words
        size = os.fstat(file.fileno()).st_size
        sha256 = pinned or digest_of(head)
        if sha256 is None or head.get("ContentLength", size) != size:  # some stores leave the length out
            return None
        if _hash(file, partial.final, deadline, callback) != sha256:
            return None
    etag = strong_etag(head)
    return TransferResult(
        remote.bucket, remote.key, size, etag and etag.strip('"'), sha256, True, 0, 0, head.get("VersionId")
    )


def _hash(file: FileIO, path: str, deadline: Deadline, callback: Callable[[int], object] | None) -> str:
    digest, reported = hashlib.sha256(), time.monotonic()
    while block := file.read(BLOCK):
        digest.update(block)
        if not deadline.allows():
            raise DeadlineExceededError(f"the deadline passed while the existing file {path!r} was being compared")
        if callback is not None and time.monotonic() - reported >= _TICK:
            callback(0)
            reported = time.monotonic()
    return digest.hexdigest()
