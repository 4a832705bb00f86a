"""Which objects there are below a prefix: all of them, or an error."""

import time
from typing import Any

from botocore.parsers import ResponseParserError

from cdn_engine.errors import StoreProtocolError
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.store import Store

__all__ = ["list_sizes"]

# Pages in a row without a new key, after which the listing has no end. Some stores send a few empty ones.
_MOST_BARREN_PAGES = 100


def list_sizes(store: Store, bucket: str, prefix: str) -> dict[str, int | None]:
    """Ask a store for all keys that begin with a prefix.

    Args:
        store: The store.
        bucket: The bucket.
        prefix: What the keys begin with; empty for all keys.

    Returns:
        The objects' sizes in bytes by key, None where the store does not say.

    Raises:
        StoreProtocolError: The store's answer is no listing, or not a whole one.
        NotAStoreError: A web page or a redirect answers in its place.
        botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.

    Thread-safety: safe.
    """
    sizes: dict[str, int | None] = {}
    tokens: set[str] = set()
    arguments = {"Bucket": bucket, "Prefix": prefix}
    barren = 0
    while True:
        page = _ask(store, arguments)
        if "IsTruncated" not in page:
            raise StoreProtocolError("what answers is no listing, or does not say whether it is a whole one")
        known = len(sizes)
        sizes.update(_entry(entry, prefix) for entry in page.get("Contents", ()))
        barren = 0 if len(sizes) > known else barren + 1
        token = page.get("NextContinuationToken")
        # Some stores send a token at the end too; others write "True", which botocore takes for false.
        if not page["IsTruncated"] and (not token or barren):
            return sizes
        if not token or token in tokens or barren == _MOST_BARREN_PAGES:
            problem = "goes in circles" if token else "is cut off without a way to the rest"
            raise StoreProtocolError(
                f"after {len(sizes)} keys the store's listing {problem}: it may not know ListObjectsV2; objects can be "
                "downloaded by KEY"
            )
        tokens.add(token)
        arguments["ContinuationToken"] = token


def _ask(store: Store, arguments: dict[str, str]) -> dict[str, Any]:
    """Return one page of the listing, after as many attempts as make sense."""
    failures = 0
    while True:
        try:
            return _page(store, arguments)
        except ValueError as error:  # botocore's, of a number or a time
            raise StoreProtocolError(f"the store's listing cannot be read: {error}") from error
        except Exception as error:
            failures += 1
            pause = retry.delay(error, failures, "listing")
            if pause is None:
                raise
        time.sleep(pause)


def _page(store: Store, arguments: dict[str, str]) -> dict[str, Any]:
    try:
        return store.call("ListObjectsV2", arguments, Attempt())
    except ResponseParserError as error:
        raise StoreProtocolError("the store's listing is cut off, or no XML") from error


def _entry(entry: dict[str, Any], prefix: str) -> tuple[str, int | None]:
    key = entry.get("Key")
    if not key or not key.startswith(prefix):
        what = f"the key {key!r}, which does not begin with {prefix!r}" if key else "an object without a key"
        raise StoreProtocolError(f"the store's listing names {what}")
    return key, entry.get("Size")
