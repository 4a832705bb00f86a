"""Finds out what is wrong between this machine and the store."""

from collections.abc import Iterator

from botocore.config import Config

from cdn_cli.checks.bucket import check_bucket
from cdn_cli.checks.finding import Finding
from cdn_cli.checks.installation import check_constants, check_disk
from cdn_cli.checks.network import check_network
from cdn_manager import CDNCredentials, CDNManager

__all__ = ["Finding", "check"]

_DEADLINE = 60  # seconds for one upload with its retries
_ATTEMPTS = 2


def check(credentials: CDNCredentials, bucket: str | None = None, key: str | None = None) -> Iterator[Finding]:
    """Test the installation, the network, and what the keys may do in a bucket.

    Args:
        credentials: Where the store is, and the keys to test.
        bucket: The bucket to test in. If a key may write, small objects are written to it and deleted again.
        key: An object to read as well. Without an uploader key, what the store supports is tested on it.

    Yields:
        A finding for each test, as soon as it is done.

    Thread-safety: safe.
    """
    yield check_constants()
    reachable = yield from check_network(credentials.host)
    size = 0
    if not reachable:
        yield Finding("store", "skipped", "not tested: the store cannot be reached")
    elif bucket is None:
        yield Finding("store", "skipped", "not tested: no BUCKET was given")
    else:
        config = Config(retries={"total_max_attempts": _ATTEMPTS})
        with CDNManager(credentials, config=config, deadline=_DEADLINE) as manager:
            size = yield from check_bucket(manager, bucket, key)
    yield check_disk(size)
