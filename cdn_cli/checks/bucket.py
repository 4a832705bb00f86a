"""Tests what the keys may do in a bucket, by means of small objects."""

from collections.abc import Callable, Generator
from typing import Any

from cdn_cli.checks.configuration import host_without_bucket
from cdn_cli.checks.finding import CORRECT_HOST, Finding, finding_of
from cdn_cli.checks.rejection import Rejection
from cdn_cli.checks.store import check_if_match, check_if_none_match, check_metadata, check_ranges
from cdn_cli.checks.written import CONTENT, Written
from cdn_cli.console import size_text
from cdn_engine.errors import explain
from cdn_engine.log import logerror
from cdn_engine.wire.retry import code_of, is_forbidden, status_of
from cdn_engine.wire.web_page import is_web_page
from cdn_manager import TRANSFER_ERRORS, CDNManager

__all__ = ["BucketCheck"]

_LISTS = "downloader lists"


class BucketCheck:
    """The tests in one bucket.

    Args:
        manager: Has the keys to test.
        bucket: The bucket. Small objects are written to it, if a key may, and deleted again.
        key: An object to read as well.
        rejection: Explains why a key pair is refused.
        uploader_may_read: An uploader key that can read is meant to.

    Attributes:
        size: The size in bytes of the object that was read last; 0 if none was, or the store does not tell it.
    """

    def __init__(
        self, manager: CDNManager, bucket: str, key: str | None, rejection: Rejection, uploader_may_read: bool
    ) -> None:
        self._manager = manager
        self._uploader = manager.upload_client
        self._downloader = manager.download_client
        self._bucket = bucket
        self._key = key
        self._rejection = rejection
        self._uploader_may_read = uploader_may_read
        self._written = Written(manager, bucket)
        self._answer: dict[str, Any] | None = None  # of the last object that could be read
        self._is_missing = False
        self._lists: Finding | None = None  # whether the downloader may list; None if that is not known
        self._is_refused = False  # the uploader's attempt to write, by a store that accepts its key
        self.size = 0

    def findings(self) -> Generator[Finding, None, None]:
        """Run the tests; yield each finding as soon as it is there."""
        try:
            yield from self._rights()
        except BaseException:  # Ctrl-C, or the caller closed this generator: nobody would see a finding
            for finding in self._written.delete():
                if finding.state != "ok":
                    logerror(f"check: {finding.text}")
            raise
        yield from self._written.delete()

    def _rights(self) -> Generator[Finding, None, None]:
        yield finding_of("bucket", self._exists)
        if self._is_missing:
            return
        if self._lists is not None:
            yield self._lists
        writes = finding_of("uploader writes", self._uploader_writes)
        refuses = None
        if self._is_refused and self._downloader is not None:
            refuses = finding_of("downloader cannot write", self._downloader_cannot_write)
            if refuses.state == "failed":
                yield Finding("key pairs", "failed", "the two key pairs are exchanged: the downloader key can write, "
                              "and the uploader key cannot", "exchange the two pairs in the configuration")  # fmt: skip
                return
        yield writes
        stored = writes.state == "ok"
        yield finding_of("uploader cannot read", lambda: self._uploader_cannot_read(stored))
        # An object of our own tells more about the store; without one, KEY is all there is.
        subject = self._written.name if stored else self._key
        yield finding_of("downloader reads", lambda: self._downloader_reads("downloader reads", subject))
        answer = self._answer
        if stored and self._key is not None:
            yield finding_of("downloader reads KEY", lambda: self._downloader_reads("downloader reads KEY", self._key))
        yield refuses or finding_of("downloader cannot write", self._downloader_cannot_write)
        if answer is not None and subject is not None:
            yield from self._abilities(subject, answer, stored)
        if stored:
            yield finding_of(
                "If-None-Match", lambda: check_if_none_match(self._manager, self._bucket, self._written.name)
            )

    def _abilities(self, subject: str, answer: dict[str, Any], stored: bool) -> Generator[Finding, None, None]:
        client, bucket = self._downloader, self._bucket
        yield finding_of("metadata", lambda: check_metadata(answer, subject, stored))
        yield finding_of("ranges", lambda: check_ranges(client, bucket, subject, answer.get("ContentLength")))
        yield finding_of("If-Match", lambda: check_if_match(client, bucket, subject))

    def _exists(self) -> Finding:
        role = "downloader" if self._downloader else "uploader"
        try:
            if self._downloader:
                self._downloader.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            else:
                self._uploader.head_bucket(Bucket=self._bucket)
        except TRANSFER_ERRORS as error:
            if status_of(error) == 404:
                self._is_missing = True
                return self._missing(error)
            if is_forbidden(error) and not self._rejection.is_exchanged(role, error):
                if self._downloader:
                    self._lists = Finding(_LISTS, "skipped", "the store does not let it, as download --prefix needs")
                return Finding("bucket", "skipped", f"not tested: the {role} key may not list it")
            finding = self._rejection.finding("bucket", role, error, f"correct the {role} key")
            return finding._replace(text=f"asked with the {role} key: {finding.text}")
        if self._downloader:
            self._lists = Finding(_LISTS, "ok", "as download --prefix does")
        return Finding("bucket", "ok", f"{self._bucket!r} exists")

    def _missing(self, error: Exception) -> Finding:
        host, bucket = self._manager.creds.host, self._bucket
        better = host_without_bucket(host, bucket)
        is_key = code_of(error) == "NoSuchKey"  # although it was asked for a bucket
        text, advice = f"there is no bucket {bucket!r}", "create it, or correct the name"
        if better is not None:
            text += f" at {host}"
            advice = f"write host: {better}" if is_key else f"{advice}; if host names a bucket, write host: {better}"
        elif is_key:
            text = f"{host} takes {bucket!r} for an object: its name already stands for a bucket"
            advice = "write the store's own name as host"
        elif self._downloader and code_of(error) == "404":
            text += ", or no store: the answer has no S3 error code"
            advice += f", or {CORRECT_HOST}"
        return Finding("bucket", "failed", text, advice)

    def _uploader_writes(self) -> Finding:
        if self._uploader is None:
            return _without("uploader writes", "uploader")
        try:
            with self._written.writing(self._written.name):
                self._manager.store(self._bucket, self._written.name, CONTENT)
        except TRANSFER_ERRORS as error:
            self._is_refused = is_forbidden(error)
            return self._rejection.finding("uploader writes", "uploader", error,
                                           "correct the uploader key or its permissions")  # fmt: skip
        return Finding("uploader writes", "ok", f"stored {self._written.name!r}")

    def _uploader_cannot_read(self, stored: bool) -> Finding:
        name = "uploader cannot read"
        if self._uploader is None:
            return _without(name, "uploader")
        if not stored:
            return Finding(name, "skipped", "not tested: there is no object to try it on")

        def read() -> None:
            self._uploader.get_object(Bucket=self._bucket, Key=self._written.name)["Body"].close()

        finding = _refused(name, read, "the uploader key can read",
                           "remove read permission from the uploader key, or give --uploader-may-read")  # fmt: skip
        if finding.state == "failed" and self._uploader_may_read:
            return Finding(name, "warning", "the uploader key can read, as --uploader-may-read allows")
        return finding

    def _downloader_cannot_write(self) -> Finding:
        if self._downloader is None:
            return _without("downloader cannot write", "downloader")

        def write() -> None:
            spare = f"{self._written.name}-2"
            with self._written.writing(spare):
                self._downloader.put_object(Bucket=self._bucket, Key=spare, Body=b"")

        return _refused("downloader cannot write", write, "the downloader key can write",
                        "remove write permission from the downloader key")  # fmt: skip

    def _downloader_reads(self, name: str, key: str | None) -> Finding:
        if self._downloader is None:
            return _without(name, "downloader")
        if key is None:
            return Finding(name, "skipped", "not tested: give the KEY of an object to read")
        try:
            answer: dict[str, Any] = self._downloader.get_object(Bucket=self._bucket, Key=key)
        except TRANSFER_ERRORS as error:
            advice = "correct the downloader key, its permissions or KEY"
            finding = self._rejection.finding(name, "downloader", error,
                                              "correct KEY" if code_of(error) == "NoSuchKey" else advice)  # fmt: skip
            return finding._replace(text=f"{key!r}: {finding.text}")
        answer["Body"].close()
        if is_web_page(answer, key):
            return Finding(name, "failed", f"{key!r}: a web page comes in its place", CORRECT_HOST)
        self._answer = answer
        size = answer.get("ContentLength")
        self.size = size or 0
        if size is None:
            return Finding(name, "ok", f"{key!r} can be read; the store does not tell its size")
        return Finding(name, "ok", f"{key!r} is {size_text(size)}")


def _refused(name: str, request: Callable[[], None], text: str, advice: str) -> Finding:
    """Return the finding about a request that the store should refuse."""
    try:
        request()
    except TRANSFER_ERRORS as error:
        if is_forbidden(error):
            return Finding(name, "ok", "the store refuses it")
        return Finding(name, "skipped", f"not tested: {explain(error)}")
    return Finding(name, "failed", text, advice)


def _without(name: str, role: str) -> Finding:
    return Finding(name, "skipped", f"not tested: the configuration has no {role}_access_key")
