"""Finds out whether the final file already has the object's content."""

import hashlib
import os
import stat
import time

from botocore.exceptions import ClientError

from cdn_engine.download.answer import digest_of, strong_etag
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import BLOCK
from cdn_engine.errors import DeadlineExceededError
from cdn_engine.result import TransferResult
from cdn_engine.wire import retry
from cdn_engine.wire.deadline import Deadline

__all__ = ["existing_file"]


def existing_file(remote: RemoteObject, path: str, pinned: str | None, deadline: Deadline) -> TransferResult | None:
    """Compare the file at ``path`` with the object's digest, for which one HEAD request is made.

    Args:
        remote: The object.
        path: The final path.
        pinned: The digest that the caller requires; None for the one in the object's metadata.
        deadline: When to give up.

    Returns:
        The result of a download that has nothing to transfer; None if the file is missing, differs, or cannot be
        compared.

    Raises:
        DeadlineExceededError: The deadline has passed.
        OSError: The file cannot be read.
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: The store does not answer, or with 5xx.
    """
    if not os.path.lexists(path):
        return None
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        return None
    try:
        head = remote.head(deadline, time.sleep, "nothing was downloaded")
    except ClientError as error:
        if (retry.status_of(error) or 0) >= 500:
            raise
        return None  # the GET will say it better, with the store's own words
    sha256 = pinned or digest_of(head)
    if sha256 is None or head["ContentLength"] != found.st_size or _hash(path, deadline) != sha256:
        return None
    etag = strong_etag(head)
    return TransferResult(
        remote.bucket, remote.key, found.st_size, etag and etag.strip('"'), sha256, True, 0, 0, head.get("VersionId")
    )


def _hash(path: str, deadline: Deadline) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
            if not deadline.allows():
                raise DeadlineExceededError(f"the deadline passed while the existing file {path!r} was being compared")
    return digest.hexdigest()
