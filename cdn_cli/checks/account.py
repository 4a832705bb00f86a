"""Tests the keys without a bucket: a store says to any signed request whether it knows the key, and the secret fits."""

import functools
from collections.abc import Generator
from typing import Any

from cdn_cli.checks.finding import Finding, finding_of
from cdn_cli.checks.rejection import Rejection
from cdn_engine.errors import explain
from cdn_engine.wire.retry import is_forbidden, status_of
from cdn_manager import TRANSFER_ERRORS, CDNManager

__all__ = ["check_keys"]

_MOST_NAMES = 5  # buckets that are named; the others are counted


def check_keys(manager: CDNManager, rejection: Rejection) -> Generator[Finding, None, None]:
    """List the buckets with each key.

    Args:
        manager: Has the keys to test.
        rejection: Explains why a key pair is refused.
    """
    for role, client in (("downloader", manager.download_client), ("uploader", manager.upload_client)):
        if client is not None and not (role == "downloader" and manager.creds.anonymous):
            yield finding_of(f"{role} key", functools.partial(_list_buckets, client, role, rejection))
        elif role == "downloader" and manager.creds.anonymous:
            yield Finding("downloader key", "skipped", "none, downloads are anonymous: only a BUCKET can be tried",
                          "name a BUCKET")  # fmt: skip
        else:
            yield Finding(f"{role} key", "skipped", f"not tested: the configuration has no {role}_access_key")


def _list_buckets(client: Any, role: str, rejection: Rejection) -> Finding:
    name = f"{role} key"
    try:
        answer = client.list_buckets()
    except TRANSFER_ERRORS as error:
        if is_forbidden(error) and not rejection.is_exchanged(role, error):
            return Finding(name, "ok", "the store does not let it list buckets, and does not object to the key itself")
        if status_of(error) in (404, 405, 501):  # a gateway that serves nothing but buckets
            return Finding(name, "skipped", f"not tested: {explain(error)}", "name a BUCKET")
        return rejection.finding(name, role, error, f"correct the {role} key")
    names = [bucket["Name"] for bucket in answer.get("Buckets") or ()]
    shown = ", ".join(names[:_MOST_NAMES]) or "none"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return Finding(name, "ok", f"the store accepts it; buckets that it may see: {shown}{more}")
