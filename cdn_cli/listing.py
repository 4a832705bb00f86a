"""The objects of a bucket, as the commands look at them."""

import re
from collections.abc import Iterator
from typing import Any

from cdn_engine.download.listing import Entry, list_objects
from cdn_engine.errors import explain
from cdn_manager import TRANSFER_ERRORS, CDNError

__all__ = ["date_text", "list_below"]

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z")


def list_below(client: Any, bucket: str, prefix: str) -> Iterator[Entry]:
    """Yield the objects whose key begins with ``prefix`` while the listing arrives.

    Args:
        client: The client that downloads.
        bucket: The bucket.
        prefix: What the keys begin with; empty for all keys.

    Raises:
        CDNError: The listing failed. Its text says of what it is, and with which key it was asked for.
    """
    try:
        yield from list_objects(client.store, bucket, prefix)
    except TRANSFER_ERRORS as error:
        credential = "with the downloader key" if client.store.is_signed else "without a key"
        raise CDNError(f"{bucket}/{prefix}, listed {credential}: {explain(error)}") from error


def date_text(modified: str | None) -> str:
    """Return a time as people read it, in 20 columns.

    Args:
        modified: The time as the store writes it, None if it does not.
    """
    match = _TIME.fullmatch(modified or "")
    return f"{f'{match[1]} {match[2]}Z' if match else '-':<20}"
