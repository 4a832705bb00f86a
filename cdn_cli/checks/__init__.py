"""Finds out what is wrong between this machine and the store."""

import contextlib
import os
from collections.abc import Generator, Iterator

from botocore.config import Config
from botocore.exceptions import BotoCoreError

from cdn_cli.checks.bucket import BucketCheck
from cdn_cli.checks.configuration import check_configuration
from cdn_cli.checks.finding import Finding, finding_of
from cdn_cli.checks.installation import check_constants, check_disk
from cdn_cli.checks.network import check_network
from cdn_cli.checks.rejection import Rejection
from cdn_config.exchanged import exchanged_pairs
from cdn_engine.errors import explain
from cdn_manager import CDNCredentials, CDNManager

__all__ = ["Finding", "check"]

_DEADLINE = 60  # seconds for one upload with its retries
_ATTEMPTS = 2


def check(
    credentials: CDNCredentials,
    bucket: str | None = None,
    key: str | None = None,
    *,
    path: str | None = None,
    into: str | None = None,
    uploader_may_read: bool = False,
) -> Iterator[Finding]:
    """Test the installation, the network, and what the keys may do in a bucket.

    Args:
        credentials: Where the store is, and the keys to test.
        bucket: The bucket to test in. If a key may write, small objects are written to it and deleted again.
        key: An object to read as well. Without an uploader key, what the store supports is tested on it.
        path: The file that holds the credentials; None if none does.
        into: Where downloads would go, to test the disk; None for a folder that is named like the bucket.
        uploader_may_read: An uploader key that can read is meant to.

    Yields:
        A finding for each test, as soon as it is done.

    Thread-safety: safe.
    """
    yield finding_of("configuration", lambda: check_configuration(credentials, path, bucket))
    yield finding_of("constants", check_constants)
    is_store = yield from check_network(credentials.host, bucket)
    size = 0
    if not is_store:
        yield Finding("store", "skipped", "not tested: no store answers")
    elif bucket is None:
        yield Finding("store", "skipped", "not tested: no BUCKET was given")
    else:
        rejection = Rejection(credentials, {} if path is None else exchanged_pairs(path), bucket)
        size = yield from _check_bucket(credentials, bucket, key, rejection, uploader_may_read)
    if credentials.downloader_access_key is None:
        yield Finding("disk", "skipped", "not needed: without a downloader key, nothing is downloaded")
    else:
        yield finding_of("disk", lambda: check_disk(size, into or bucket or os.curdir))


def _check_bucket(
    credentials: CDNCredentials, bucket: str, key: str | None, rejection: Rejection, uploader_may_read: bool
) -> Generator[Finding, None, int]:
    """Return the size in bytes of the object that was read last, 0 if none was."""
    try:
        manager = CDNManager(credentials, config=Config(retries={"total_max_attempts": _ATTEMPTS}), deadline=_DEADLINE)
    except (BotoCoreError, ValueError) as error:
        yield Finding("store", "failed", explain(error), "correct host or region in the configuration")
        return 0
    test = BucketCheck(manager, bucket, key, rejection, uploader_may_read)
    with manager, contextlib.closing(test.findings()) as findings:
        for finding in findings:
            yield rejection.without_secrets(finding)
    return test.size
