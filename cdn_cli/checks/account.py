"""Tests the keys without a bucket: a store says to any signed request whether it knows the key, and the secret fits."""

from collections.abc import Generator
from typing import Any

from cdn_cli.checks.finding import Finding, finding_of
from cdn_cli.checks.rejection import Rejection, is_forbidden
from cdn_engine.errors import explain
from cdn_engine.wire.retry import status_of
from cdn_manager import TRANSFER_ERRORS, CDNManager

__all__ = ["check_keys"]

_MOST_NAMES = 5  # buckets that are named; the others are counted


def check_keys(manager: CDNManager, rejection: Rejection) -> Generator[Finding, None, None]:
    """List the buckets with each key.

    Args:
        manager: Has the keys to test.
        rejection: Explains why a key pair is refused.
    """
    clients = {"downloader": manager.download_client, "uploader": manager.upload_client}
    for role, client in clients.items():
        name = f"{role} key"
        if role == "downloader" and manager.creds.anonymous:
            yield Finding(name, "skipped", "downloads are anonymous: without a key, only a BUCKET can be asked for")
        elif client is None:
            yield Finding(name, "skipped", f"not tested: the configuration has no {role}_access_key")
        else:
            yield finding_of(name, lambda: _list_buckets(client, name, role, rejection))


def _list_buckets(client: Any, name: str, role: str, rejection: Rejection) -> Finding:
    try:
        answer = client.list_buckets()
    except TRANSFER_ERRORS as error:
        if is_forbidden(error) and not rejection.is_exchanged(role, error):
            return Finding(name, "ok", "the store does not let it list buckets, and does not object to the key itself")
        if status_of(error) in (404, 405, 501):  # a gateway that serves nothing but buckets
            return Finding(name, "skipped", f"not tested: the store lists no buckets: {explain(error)}", "name a BUCKET")
        return rejection.finding(name, role, error, f"correct the {role} key")
    names = [bucket["Name"] for bucket in answer.get("Buckets") or ()]
    if not names:
        return Finding(name, "ok", "the store accepts it, and shows it no bucket")
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return Finding(name, "ok", f"the store accepts it, and shows it {len(names)} bucket{'s'[:len(names) - 1]}: {shown}")
