"""Finds out what is wrong between this machine and the store."""

import contextlib
import os
from collections.abc import Generator, Iterator

from botocore.exceptions import BotoCoreError

from cdn_cli.checks.account import check_keys
from cdn_cli.checks.bucket import BucketCheck
from cdn_cli.checks.configuration import check_configuration
from cdn_cli.checks.finding import Finding, finding_of
from cdn_cli.checks.installation import check_constants, check_disk
from cdn_cli.checks.network import check_network
from cdn_cli.checks.rejection import Rejection
from cdn_cli.checks.result import result_of
from cdn_config import Settings
from cdn_config.exchanged import exchanged_pairs
from cdn_engine.errors import explain
from cdn_manager import CDNCredentials, CDNManager

__all__ = ["Finding", "check"]

_DEADLINE = 60  # seconds for one upload with its retries
_ATTEMPTS = 2
_DEFAULTS = Settings()


def check(
    credentials: CDNCredentials,
    bucket: str | None = None,
    key: str | None = None,
    *,
    path: str | None = None,
    settings: Settings = _DEFAULTS,
    into: str | None = None,
    uploader_may_read: bool = False,
) -> Iterator[Finding]:
    """Test the installation, the network, and what the keys may do in a bucket.

    Args:
        credentials: Where the store is, and the keys to test.
        bucket: The bucket to test in. If a key may write, small objects are written to it and deleted again.
        key: An object to read as well. Without an uploader key, what the store supports is tested on it.
        path: The file that holds the credentials; None for the environment.
        settings: The timeouts.
        into: Where downloads would go, to test the disk; None for a folder that is named like the bucket.
        uploader_may_read: An uploader key that can read is meant to.

    Yields:
        A finding for each test, as soon as it is done, and at last one that sums them up.

    Thread-safety: safe.
    """
    findings = []
    tests = _findings(credentials, bucket, key, path, settings, into, uploader_may_read)
    with contextlib.closing(tests):
        for finding in tests:
            findings.append(finding)
            yield finding
    yield result_of(findings, credentials, bucket is not None)


def _findings(
    credentials: CDNCredentials,
    bucket: str | None,
    key: str | None,
    path: str | None,
    settings: Settings,
    into: str | None,
    uploader_may_read: bool,
) -> Generator[Finding, None, None]:
    yield finding_of("configuration", lambda: check_configuration(credentials, path, bucket))
    yield finding_of("constants", check_constants)
    is_store = yield from check_network(credentials.host, bucket, settings.connect_timeout, settings.read_timeout)
    size = 0
    if not is_store:
        yield Finding("store", "skipped", "not tested: no store answers")
    else:
        once = settings.client_config(retries={"total_max_attempts": 1})
        rejection = Rejection(credentials, exchanged_pairs(path), bucket, once)
        size = yield from _check_store(credentials, bucket, key, settings, rejection, uploader_may_read)
    if credentials.downloader_access_key is None and not credentials.anonymous:
        yield Finding("disk", "skipped", "not needed: without a downloader key, nothing is downloaded")
    else:
        yield finding_of("disk", lambda: check_disk(size, into or bucket or os.curdir))


def _check_store(
    credentials: CDNCredentials,
    bucket: str | None,
    key: str | None,
    settings: Settings,
    rejection: Rejection,
    uploader_may_read: bool,
) -> Generator[Finding, None, int]:
    """Return the size in bytes of the object that was read last, 0 if none was."""
    config = settings.client_config(retries={"total_max_attempts": _ATTEMPTS})
    try:
        manager = CDNManager(credentials, config, deadline=_DEADLINE)
    except (BotoCoreError, ValueError) as error:
        yield Finding("store", "failed", explain(error), "correct host or region in the configuration")
        return 0
    test = None if bucket is None else BucketCheck(manager, bucket, key, rejection, uploader_may_read)
    tests = check_keys(manager, rejection) if test is None else test.findings()
    with manager, contextlib.closing(tests):
        for finding in tests:
            yield rejection.without_secrets(finding)
    return 0 if test is None else test.size
