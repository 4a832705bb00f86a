"""Finds out what is wrong between this machine and the store."""

import contextlib
import os
import re
from collections.abc import Generator, Iterator, Mapping

from botocore.config import Config

from cdn_cli.checks.bucket import BucketCheck
from cdn_cli.checks.configuration import check_configuration
from cdn_cli.checks.finding import Finding, finding_of
from cdn_cli.checks.installation import check_constants, check_disk
from cdn_cli.checks.network import check_network
from cdn_cli.checks.rejection import Rejection
from cdn_config.exchanged import exchanged_pairs
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
    exchanged = {} if path is None else exchanged_pairs(path)
    with contextlib.closing(_check(credentials, bucket, key, path, into, uploader_may_read, exchanged)) as findings:
        for finding in findings:
            yield finding._replace(text=_hide(finding.text, credentials, exchanged))


def _check(
    credentials: CDNCredentials,
    bucket: str | None,
    key: str | None,
    path: str | None,
    into: str | None,
    uploader_may_read: bool,
    exchanged: Mapping[str, CDNCredentials],
) -> Generator[Finding, None, None]:
    yield finding_of("configuration", lambda: check_configuration(credentials, path, bucket))
    yield finding_of("constants", check_constants)
    is_store = yield from check_network(credentials.host, bucket)
    size = 0
    if not is_store:
        yield Finding("store", "skipped", "not tested: no store answers")
    elif bucket is None:
        yield Finding("store", "skipped", "not tested: no BUCKET was given")
    else:
        config = Config(retries={"total_max_attempts": _ATTEMPTS})
        with CDNManager(credentials, config=config, deadline=_DEADLINE) as manager:
            test = BucketCheck(manager, bucket, key, Rejection(credentials, exchanged, bucket), uploader_may_read)
            yield from test.findings()
        size = test.size
    yield finding_of("disk", lambda: check_disk(size, into or bucket or os.curdir))


def _hide(text: str, credentials: CDNCredentials, exchanged: Mapping[str, CDNCredentials]) -> str:
    """Take the access keys out that are secrets in the wrong place: some stores repeat them in their answers."""
    for role in exchanged:
        access_key = re.escape(getattr(credentials, f"{role}_access_key"))
        text = re.sub(rf"(?<!\w){access_key}(?!\w)", f"({role}_access_key)", text)
    return text
