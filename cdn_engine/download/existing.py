"""Finds out whether the final file already has the object's content."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from io import FileIO
from typing import Any

from botocore.exceptions import ClientError

from cdn_engine.download.answer import Answer, Version
from cdn_engine.download.md5 import hashes_of
from cdn_engine.download.partial import Partial
from cdn_engine.download.receipt import Receipt
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import BLOCK
from cdn_engine.errors import DeadlineExceededError
from cdn_engine.paths import Target
from cdn_engine.phases import COMPARING, RETRYING, Progress
from cdn_engine.result import TransferResult
from cdn_engine.sha256 import parse_sha256
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import TICK, Attempt
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.store import Store

__all__ = ["existing_file", "is_there", "matches"]

_HEARTBEAT = 0.5  # seconds between two reports


def existing_file(
    remote: RemoteObject,
    partial: Partial,
    pinned: str | None,
    deadline: Deadline,
    progress: Progress,
) -> TransferResult | None:
    """Compare the file under the final name with the object, for which one HEAD request is made.

    By the object's digest or, where it has none, by what is remembered of the file or by an ETag that is made of MD5s.

    Args:
        remote: The object.
        partial: Knows the final name; its lock is held.
        pinned: The digest that the caller requires; None for the one in the object's metadata.
        deadline: When to give up.
        progress: Called with 0 while the file is being read; may raise.

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
            head = _ask(remote, deadline, progress)
        except ClientError as error:
            if (retry.status_of(error) or 0) >= 500:
                raise
            return None  # the GET will say it better, with the store's own words
        status, version = os.fstat(file.fileno()), Version(pinned)
        version.learn(Answer.of(head))
        if head.get("ContentLength", status.st_size) != status.st_size:  # some stores leave the length out
            return None
        receipt = Receipt(remote, partial, version)
        if not receipt.recall(status):
            if not matches(_blocks(file, partial.final, status.st_size, deadline, progress), status.st_size, version):
                return None
            receipt.keep_compared(status, os.fstat(file.fileno()))
    return remote.result(version, status.st_size, 0, 0)._replace(skipped=True)


def is_there(store: Store, bucket: str, key: str, path: str | os.PathLike[str], sha256: str | None = None) -> bool:
    """Return True if a download would have nothing to transfer. Makes nothing but a HEAD request.

    Args:
        store: The store.
        bucket: The bucket.
        key: The object's key.
        path: The file that the download would make.
        sha256: The digest that the caller requires; None for the one in the object's metadata.

    Raises: as ``existing_file`` does, and ``UnsafePathError`` if a link was planted on the way to the file.
    """
    partial = Partial(Target.of(path))
    try:
        partial.folder.enter(create=False)
        remote = RemoteObject(store, bucket, key, {})
        return existing_file(remote, partial, parse_sha256(sha256), Deadline(None), Progress(None)) is not None
    except FileNotFoundError:  # of the directory
        return False
    finally:
        partial.folder.leave()


def _ask(remote: RemoteObject, deadline: Deadline, progress: Progress) -> dict[str, Any]:
    """Ask for the object's metadata, and report while that takes its time."""
    reported = time.monotonic()

    def pulse() -> None:
        nonlocal reported
        if not deadline.allows():
            raise DeadlineExceededError("the deadline passed before the store had answered; nothing was downloaded")
        if time.monotonic() - reported >= _HEARTBEAT:
            reported = time.monotonic()
            progress(0)

    def wait(seconds: float) -> None:
        progress.phase(RETRYING)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, TICK))
            pulse()

    head = remote.head(deadline, wait, "nothing was downloaded", lambda: Attempt(pulse=pulse))
    progress.phase(COMPARING)
    return head


def matches(blocks: Iterable[bytes], size: int, version: Version) -> bool:
    """Return True if content is the object's, as far as that can be known. The version then learns by what.

    Args:
        blocks: The content.
        size: Its size in bytes, which is the object's.
        version: What is known of the object.
    """
    if version.sha256 is not None:
        digest = hashlib.sha256()
        for block in blocks:
            digest.update(block)
        found = "sha256" if digest.hexdigest() == version.sha256 else None
    else:
        hashes = hashes_of(version.etag, size)
        for block in blocks if hashes else ():
            for one in hashes:
                one.update(block)
        found = "md5" if any(one.matches() for one in hashes) else None
    version.verified_by = found
    return found is not None


def _blocks(
    file: FileIO, path: str, size: int, deadline: Deadline, progress: Progress
) -> Iterator[bytes]:
    reported, done = time.monotonic(), 0
    while block := file.read(BLOCK):
        yield block
        done += len(block)
        progress.phase(COMPARING, done, size)
        if not deadline.allows():
            raise DeadlineExceededError(f"the deadline passed while the existing file {path!r} was being compared")
        if time.monotonic() - reported >= _HEARTBEAT:
            progress(0)
            reported = time.monotonic()
