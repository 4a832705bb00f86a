"""Finds multipart uploads that were begun and never finished, and aborts them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from cdn_engine.errors import CDNError
from cdn_engine.file_lock import lock_named, release
from cdn_engine.records import Record
from cdn_engine.upload.journal import Unfinished
from cdn_engine.wire import retry

__all__ = ["abort_orphan", "list_orphans"]

# Seconds after which a store that was asked to put the parts together has done so, or never will.
_ASSEMBLY = 3600.0


def list_orphans(client: Any, bucket: str, older_than: float) -> list[tuple[str, str, datetime]]:
    """List the unfinished multipart uploads of a bucket.

    Args:
        client: A boto3 S3 client.
        bucket: The bucket.
        older_than: Age in seconds; younger ones may still be running.

    Returns:
        A list of (key, upload id, time of initiation), for ``client.abort_multipart_upload``.

    Raises:
        PermissionError: The key may not list.
        botocore.exceptions.ClientError: The store refused for another reason.
    """
    before = datetime.now(UTC) - timedelta(seconds=older_than)
    try:
        pages = list(client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket))
    except ClientError as error:
        if retry.is_forbidden(error):
            raise PermissionError(
                f"listing the unfinished uploads of {bucket!r} needs the permission s3:ListBucketMultipartUploads, "
                "which the uploader key does not have"
            ) from error
        raise
    uploads = [upload for page in pages for upload in page.get("Uploads", ())]
    return [(found["Key"], found["UploadId"], found["Initiated"]) for found in uploads if found["Initiated"] <= before]


def abort_orphan(client: Any, bucket: str, key: str, upload_id: str, journal: Record | None) -> None:
    """Abort an unfinished upload. One that is gone already is no failure.

    Args:
        client: The boto3 S3 client with the uploader key.
        bucket: The bucket.
        key: The object's key.
        upload_id: The store's name for the upload.
        journal: Its journal on this machine, which is removed; None without one.

    Raises:
        CDNError: It is not an orphan: a process of this machine is at work on it, or the store may be.
        botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.
        OSError: The journal cannot be locked.

    Thread-safety: safe.
    """
    if journal is None:
        _abort(client, bucket, key, upload_id)
        return
    lock_path = journal.path.with_suffix(".lock")
    lock = lock_named(lock_path)
    if lock is None:
        raise CDNError("a process on this machine is uploading it: it was not aborted")
    try:
        upload = Unfinished.of(journal)
        asked_at = None if upload is None else upload.completing_at
        if asked_at is not None and time.time() - asked_at < _ASSEMBLY:  # an abort could destroy the object
            raise CDNError("the store may be putting its parts together: it was not aborted; try again in an hour")
        _abort(client, bucket, key, upload_id)
        journal.remove()
    finally:
        release(lock, lock_path)


def _abort(client: Any, bucket: str, key: str, upload_id: str) -> None:
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except ClientError as error:
        if retry.status_of(error) != 404:
            raise
