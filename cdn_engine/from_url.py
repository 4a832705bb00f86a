"""Downloads from a presigned URL, or from that of a public object, without any key."""

import contextlib
import os
from collections.abc import Callable

from botocore.config import Config

from cdn_engine.clients import ClientFactory
from cdn_engine.download import download
from cdn_engine.download.presigned import PresignedObject, host_of, objection_to_url
from cdn_engine.host import warn_about
from cdn_engine.result import TransferResult
from cdn_engine.sha256 import parse_sha256
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.keys import Hidden

__all__ = ["fetch_url"]

_REGION = "us-east-1"  # nothing is signed with it


def fetch_url(
    url: str,
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    progress: Callable[[int], object] | None = None,
    sha256: str | None = None,
    deadline: float | None = None,
    config: Config | None = None,
) -> TransferResult:
    """Download what a URL names, as ``CDNManager.fetch`` downloads an object, and return a result.

    Args:
        url: A presigned URL for GET (boto3's ``generate_presigned_url("get_object", ...)``), or that of an object which
            anybody may read. What a broken download has left is used by the next one to the same path, also with a new
            URL for the same object. No message shows the query.
        path: The file name to download to; the caller is responsible for it.
        progress: As for ``CDNManager.fetch``.
        sha256: The SHA-256, in hex, that the content must have. By default the one in the object's metadata.
        deadline: Total seconds; None for no limit as long as bytes keep arriving.
        config: A ``botocore.config.Config``, as for ``CDNManager``: proxies, certificates, timeouts.

    Returns:
        A ``TransferResult``, in which ``bucket`` is the URL's host, and ``key`` its path.

    Raises:
        URLRefusedError: The URL has expired, or is not accepted.
        ValueError: It is no URL, or was signed with headers that would have to be known; or ``sha256`` or ``deadline``
            is wrong.
        Exception: As ``CDNManager.fetch``; ``TRANSFER_ERRORS`` catches all but ``ValueError``.

    Thread-safety: safe.
    """
    url = Hidden(url)
    if (objection := objection_to_url(url)) is not None:
        raise ValueError(objection)
    if deadline is not None and not deadline > 0:
        raise ValueError(f"deadline must be a positive number of seconds, not {deadline!r}")
    pinned = parse_sha256(sha256)
    host = host_of(url)
    warn_about(host)
    with contextlib.closing(ClientFactory(host, _REGION, config).create()) as client:
        return download(PresignedObject(client.store, url), path, pinned, Deadline(deadline), progress, None)
