"""``download_file`` for boto3's S3 client: resumable, verified, durable, over as many connections as pay. Private.

The first ranged GET is also the stat: its answer tells size, ETag and digest. If the rest takes long, more connections
share it, as many as pay. Every answer is judged by what it carries, not by what was asked for. A journal vouches for
what is on disk, so that a later call resumes.
"""

import os
from collections.abc import Callable
from typing import Any

from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from cdn_engine.download.answer import Version
from cdn_engine.download.existing import existing_file
from cdn_engine.download.opening import Opened, Opening
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import Settings
from cdn_engine.download.small import SmallFile, fetch_small
from cdn_engine.download.transfer import Transfer
from cdn_engine.errors import CDNError
from cdn_engine.paths import Target
from cdn_engine.phases import RECEIVING, WAITING, Progress
from cdn_engine.result import TransferResult
from cdn_engine.sha256 import parse_sha256
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.keys import NotRenewed

__all__ = ["bytes_kept", "download", "download_file"]


def download_file(
    self: Any,
    Bucket: str,
    Key: str,
    Filename: str | os.PathLike[str],
    ExtraArgs: dict[str, Any] | None = None,
    Callback: Callable[[int], object] | None = None,
    Config: TransferConfig | None = None,
) -> TransferResult:
    """Download an object to a file that is either whole or absent. Replaces boto3's method of the same name.

    Args:
        Bucket: The bucket.
        Key: The object's key.
        Filename: The path to download to, or a ``Target``. Its directory is made if needed.
        ExtraArgs: What boto3 allows here, and ``Sha256`` (hex; what the content must have) and ``Deadline`` (seconds
            that the call may take).
        Callback: Called in the calling thread with counts of bytes, whose sum is what is on disk: the first count is
            what an earlier call left, and discarded bytes are negative. If it has a method ``phase``, that is called as
            ``CDNManager.fetch`` says.
        Config: A ``boto3.s3.transfer.TransferConfig``, all of whose values then apply.

    Returns:
        A ``TransferResult``.

    Raises: as ``CDNManager.fetch`` does.

    Thread-safety: safe from several threads and processes, also for the same file: one downloads, the others wait.
    """
    extra = dict(ExtraArgs or {})
    pinned = parse_sha256(extra.pop("Sha256", None))
    seconds = extra.pop("Deadline", None)
    for name in extra:
        if name not in S3Transfer.ALLOWED_DOWNLOAD_ARGS:
            raise ValueError(f"ExtraArgs of download_file cannot contain {name!r}")
    remote = RemoteObject(self.store, Bucket, Key, extra)
    return download(remote, Filename, pinned, Deadline(seconds), Callback, Config)


def download(
    remote: RemoteObject,
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    pinned: str | None,
    deadline: Deadline,
    callback: Callable[[int], object] | None,
    config: TransferConfig | None,
) -> TransferResult:
    """Download an object, by whatever way it is named.

    Args:
        remote: The object.
        path: The path to download to, or a ``Target``.
        pinned: The digest that the caller requires, in lower case; None for the one in the object's metadata.
        deadline: When it has to be done.
        callback: As for ``download_file``.
        config: As for ``download_file``.

    Raises: as ``CDNManager.fetch`` does.
    """
    try:
        partial = Partial(Target.of(path))
        return _download(remote, partial, pinned, deadline, Progress(callback), Settings.of(config))
    except CDNError as error:
        error.subject = remote.name
        raise
    except NotRenewed as error:
        raise error.reason from error.reason.__cause__
    except (BotoCoreError, ClientError, HTTPError) as error:  # an OSError names its file
        error.add_note(f"{remote.name}, {remote.credential}")
        raise


def _download(
    remote: RemoteObject,
    partial: Partial,
    pinned: str | None,
    deadline: Deadline,
    progress: Progress,
    settings: Settings,
) -> TransferResult:
    ends: SmallFile | Transfer
    ends = small = SmallFile(partial)
    found: TransferResult | Opened | None = None

    def on_wait() -> None:
        progress.phase(WAITING)
        progress(0)

    try:
        progress.phase(RECEIVING)
        partial.enter()
        if not settings.fixed and not partial.is_begun:
            opening = Opening(remote, settings.first, deadline, progress)
            found = fetch_small(small, remote, opening, Version(pinned), progress)
        if isinstance(found, TransferResult):
            return found
        ends = transfer = Transfer(remote, partial, pinned, deadline, progress, settings, found)
        partial.lock(deadline, on_wait)
        existing = existing_file(remote, partial, pinned, deadline, progress)
        if existing is None:
            return transfer.run()
        partial.discard()
    finally:
        try:
            ends.finally_do(partial.unlock)
        except BaseException:
            ends.finally_do(partial.unlock)
            raise
    if existing.size:
        progress(existing.size)
    return existing


def bytes_kept(path: str | os.PathLike[str]) -> int:
    """Return how many bytes a broken download to this path has left for the next one.

    Raises:
        UnsafePathError: Something that is not ours has the name of the journal.
    """
    return Partial(Target.of(path)).bytes_kept()
