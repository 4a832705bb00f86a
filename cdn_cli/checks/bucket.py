"""Tests what the keys may do in a bucket, by means of small objects."""

from collections.abc import Callable, Generator
from typing import Any

from cdn_cli.checks.finding import Finding
from cdn_cli.checks.refusal import is_forbidden
from cdn_cli.checks.store import check_if_match, check_if_none_match, check_metadata, check_ranges
from cdn_cli.checks.written import CONTENT, Written
from cdn_cli.console import size_text
from cdn_engine.errors import explain
from cdn_engine.log import logerror
from cdn_engine.wire.retry import status_of
from cdn_manager import TRANSFER_ERRORS, CDNManager

__all__ = ["check_bucket"]


def check_bucket(manager: CDNManager, bucket: str, key: str | None) -> Generator[Finding, None, int]:
    """Test what the keys may do in a bucket, and what its store supports.

    Args:
        manager: Has the keys to test.
        bucket: The bucket. Small objects are written to it, if a key may, and deleted again.
        key: An object to read as well.

    Returns:
        The size in bytes of the object that was read last, 0 if none was.
    """
    written = Written(manager, bucket)
    try:
        size = yield from _check(manager, bucket, key, written)
    except BaseException:  # Ctrl-C, or the caller closed this generator: nobody would see a finding
        for finding in written.delete():
            if finding.state != "ok":
                logerror(f"check: {finding.text}")
        raise
    yield from written.delete()
    return size


def _check(manager: CDNManager, bucket: str, key: str | None, written: Written) -> Generator[Finding, None, int]:
    uploader, downloader = manager.upload_client, manager.download_client
    finding, exists = _check_bucket_exists(uploader, downloader, bucket)
    yield finding
    if not exists:
        return 0
    finding = _check_uploader_writes(manager, bucket, written)
    yield finding
    stored = finding.state == "ok"
    yield _check_uploader_cannot_read(uploader, bucket, written.name, stored)
    # An object of our own tells more about the store; without one, KEY is all there is.
    subject = written.name if stored else key
    answer = yield from _check_downloader_reads("downloader reads", downloader, bucket, subject)
    size: int = answer["ContentLength"] if answer else 0
    if stored and key is not None:
        of_key = yield from _check_downloader_reads("downloader reads KEY", downloader, bucket, key)
        size = of_key["ContentLength"] if of_key else size
    yield _check_downloader_cannot_write(downloader, bucket, written)
    if answer and subject is not None:
        yield check_metadata(answer, subject, stored)
        yield check_ranges(downloader, bucket, subject, answer["ContentLength"])
        yield check_if_match(downloader, bucket, subject)
    if stored:
        yield check_if_none_match(manager, bucket, written.name)
    return size


def _check_bucket_exists(uploader: Any, downloader: Any, bucket: str) -> tuple[Finding, bool]:
    """Return the finding, and False if it is certain that there is no such bucket."""
    role = "downloader" if downloader else "uploader"
    try:
        if downloader:
            downloader.list_objects_v2(Bucket=bucket, MaxKeys=1)
        else:
            uploader.head_bucket(Bucket=bucket)
    except TRANSFER_ERRORS as error:
        if status_of(error) == 404:
            advice = "create it, or correct the name"
            return Finding("bucket", "failed", f"there is no bucket {bucket!r}", advice), False
        if is_forbidden(error):
            return Finding("bucket", "skipped", f"not tested: the {role} key may not list it"), True
        return Finding("bucket", "failed", f"asked with the {role} key: {explain(error)}"), True
    return Finding("bucket", "ok", f"{bucket!r} exists"), True


def _check_uploader_writes(manager: CDNManager, bucket: str, written: Written) -> Finding:
    if manager.upload_client is None:
        return _without("uploader writes", "uploader")
    try:
        with written.writing(written.name):
            manager.store(bucket, written.name, CONTENT)
    except TRANSFER_ERRORS as error:
        return Finding("uploader writes", "failed", explain(error), "correct the uploader key or its permissions")
    return Finding("uploader writes", "ok", f"stored {written.name!r}")


def _check_uploader_cannot_read(uploader: Any, bucket: str, key: str, stored: bool) -> Finding:
    if uploader is None:
        return _without("uploader cannot read", "uploader")
    if not stored:
        return Finding("uploader cannot read", "skipped", "not tested: there is no object to try it on")

    def read() -> None:
        uploader.get_object(Bucket=bucket, Key=key)["Body"].close()

    return _check_refused("uploader cannot read", read, "the uploader key can read",
                          "remove read permission from the uploader key")  # fmt: skip


def _check_downloader_cannot_write(downloader: Any, bucket: str, written: Written) -> Finding:
    if downloader is None:
        return _without("downloader cannot write", "downloader")

    def write() -> None:
        spare = f"{written.name}-2"
        with written.writing(spare):
            downloader.put_object(Bucket=bucket, Key=spare, Body=b"")

    return _check_refused("downloader cannot write", write, "the downloader key can write",
                          "remove write permission from the downloader key")  # fmt: skip


def _check_refused(name: str, request: Callable[[], None], text: str, advice: str) -> Finding:
    """Return the finding about a request that the store should refuse."""
    try:
        request()
    except TRANSFER_ERRORS as error:
        if is_forbidden(error):
            return Finding(name, "ok", "the store refuses it")
        return Finding(name, "skipped", f"not tested: {explain(error)}")
    return Finding(name, "failed", text, advice)


def _check_downloader_reads(
    name: str, downloader: Any, bucket: str, key: str | None
) -> Generator[Finding, None, dict[str, Any] | None]:
    """Return the store's answer, None if there is none."""
    if downloader is None:
        yield _without(name, "downloader")
        return None
    if key is None:
        yield Finding(name, "skipped", "not tested: give the KEY of an object to read")
        return None
    try:
        answer: dict[str, Any] = downloader.get_object(Bucket=bucket, Key=key)
    except TRANSFER_ERRORS as error:
        yield Finding(name, "failed", f"{key!r}: {explain(error)}",
                      "correct the downloader key, its permissions or KEY")  # fmt: skip
        return None
    answer["Body"].close()
    yield Finding(name, "ok", f"{key!r} is {size_text(answer['ContentLength'])}")
    return answer


def _without(name: str, role: str) -> Finding:
    return Finding(name, "skipped", f"not tested: the configuration has no {role}_access_key")
