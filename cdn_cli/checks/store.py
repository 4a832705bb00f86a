"""Tests what the store supports, on an object that the keys can read."""

import io
from typing import Any

from boto3.s3.transfer import TransferConfig

from cdn_cli.checks.finding import Finding
from cdn_cli.checks.written import CONTENT
from cdn_engine.errors import explain
from cdn_engine.wire.retry import status_of
from cdn_manager import TRANSFER_ERRORS, CDNManager, ObjectExistsError

__all__ = ["check_if_match", "check_if_none_match", "check_metadata", "check_ranges"]

_FIX_THE_STORE = "have the store fixed, or the proxy before it"
_DO_NOT_RELY = "do not rely on --no-overwrite here"
_IN_PARTS = TransferConfig(multipart_threshold=1)  # Ceph 16 compares in PutObject, not in CompleteMultipartUpload


def check_metadata(answer: dict[str, Any], key: str, ours: bool) -> Finding:
    """Test whether the store keeps metadata.

    Args:
        answer: The answer to a ``GetObject``.
        key: The object.
        ours: The object was stored with its digest.
    """
    if any(name.lower() == "sha256" for name in answer.get("Metadata") or ()):
        return Finding("metadata", "ok", "the object carries its SHA-256")
    if not answer.get("ETag"):
        return Finding("metadata", "failed", f"{key!r} comes without SHA-256 and without ETag: nothing can be verified",
                       "give --sha256 with each download, or have the store fixed")  # fmt: skip
    if ours:
        return Finding("metadata", "failed", "the store drops it: downloads are not verified",
                       "give --sha256 with each download")  # fmt: skip
    return Finding("metadata", "skipped", f"{key!r} has no SHA-256, and may have been uploaded without one")


def check_ranges(downloader: Any, bucket: str, key: str, size: int | None) -> Finding:
    """Test whether the store answers with the range that it is asked for."""
    if size is not None and size < 3:
        return Finding("ranges", "skipped", f"not tested: {key!r} is too small")
    try:
        answer = downloader.get_object(Bucket=bucket, Key=key, Range="bytes=1-2")
    except TRANSFER_ERRORS as error:
        return Finding("ranges", "failed", explain(error), _FIX_THE_STORE)
    answer["Body"].close()
    if (answer.get("ContentRange") or "").startswith("bytes 1-2/"):
        return Finding("ranges", "ok", "a range of an object can be read")
    return Finding("ranges", "failed", "the store ignores them: interrupted downloads start over", _FIX_THE_STORE)


def check_if_match(downloader: Any, bucket: str, key: str) -> Finding:
    """Test whether the store refuses an ETag that the object does not have."""
    try:
        answer = downloader.get_object(Bucket=bucket, Key=key, IfMatch=f'"{"0" * 32}"')
    except TRANSFER_ERRORS as error:
        if status_of(error) == 412:
            return Finding("If-Match", "ok", "the store compares ETags")
        return Finding("If-Match", "failed", explain(error), _FIX_THE_STORE)
    answer["Body"].close()
    return Finding("If-Match", "failed", "the store ignores it; downloads compare ETags themselves", _FIX_THE_STORE)


def check_if_none_match(manager: CDNManager, bucket: str, key: str) -> Finding:
    """Test whether the store refuses to replace an object that exists, whether the new one comes whole or in parts."""
    for config, text in ((None, "the store ignores it"), (_IN_PARTS, "the store ignores it for uploads in parts")):
        try:
            manager.upload_client.upload_fileobj(
                io.BytesIO(CONTENT), bucket, key, ExtraArgs={"Overwrite": False}, Config=config
            )
        except ObjectExistsError:
            continue
        except TRANSFER_ERRORS as error:
            return Finding("If-None-Match", "failed", explain(error), _DO_NOT_RELY)
        return Finding("If-None-Match", "failed", text, _DO_NOT_RELY)
    return Finding("If-None-Match", "ok", "--no-overwrite protects existing objects")
