"""Which objects there are below a prefix: all of them, or an error."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from botocore.parsers import ResponseParserError

from cdn_engine.errors import StoreProtocolError
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.keys import NotRenewed
from cdn_engine.wire.store import Store

__all__ = ["Entry", "list_objects"]

# Pages in a row without a new key, after which the listing has no end. Some stores send a few empty ones.
_MOST_BARREN_PAGES = 100


class Entry(NamedTuple):
    """An object, as a listing shows it.

    Attributes:
        key: Its key.
        size: Its size in bytes; None if the store does not say.
        modified: When it was stored, as the store writes it; None if it does not say.
        etag: Its ETag without quotes; None without one.
    """

    key: str
    size: int | None
    modified: str | None
    etag: str | None


def list_objects(store: Store, bucket: str, prefix: str) -> Iterator[Entry]:
    """Ask a store for all objects whose key begins with a prefix, and yield them while the pages arrive.

    Args:
        store: The store.
        bucket: The bucket.
        prefix: What the keys begin with; empty for all keys.

    Raises:
        StoreProtocolError: The store's answer is no listing, or not a whole one.
        NotAStoreError: A web page or a redirect answers in its place.
        botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.

    Thread-safety: safe, each call by itself.
    """
    tokens: set[str] = set()
    arguments = {"Bucket": bucket, "Prefix": prefix}
    last: set[str] = set()  # the keys of the last page that had any; not of all, which may be millions
    count = barren = 0
    while True:
        page = _ask(store, arguments)
        if "IsTruncated" not in page:
            raise StoreProtocolError("what answers is no listing, or does not say whether it is a whole one")
        found = {entry.key: entry for entry in (_entry(entry, prefix) for entry in page.get("Contents", ()))}
        new = [entry for key, entry in found.items() if key not in last]
        yield from new
        count += len(new)
        last = set(found) or last
        barren = 0 if new else barren + 1
        token = page.get("NextContinuationToken")
        # Some stores send a token at the end too; others write "True", which botocore takes for false.
        if not page["IsTruncated"] and (not token or barren):
            return
        if not token or token in tokens or barren == _MOST_BARREN_PAGES:
            problem = "goes in circles" if token else "is cut off without a way to the rest"
            raise StoreProtocolError(
                f"after {count} keys the store's listing {problem}: it may not know ListObjectsV2; objects can be "
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
        except NotRenewed as error:
            raise error.reason from error.reason.__cause__
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


def _entry(entry: dict[str, Any], prefix: str) -> Entry:
    key, etag = entry.get("Key"), entry.get("ETag")
    if not key or not key.startswith(prefix):
        what = f"the key {key!r}, which does not begin with {prefix!r}" if key else "an object without a key"
        raise StoreProtocolError(f"the store's listing names {what}")
    return Entry(key, entry.get("Size"), entry.get("LastModified"), etag and etag.strip('"'))
