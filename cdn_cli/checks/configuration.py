"""Says which configuration is tested, and whether the store's URL looks right."""

import os
from urllib.parse import urlsplit

from cdn_cli.checks.finding import Finding
from cdn_manager import CDNCredentials

__all__ = ["check_configuration", "host_without_bucket"]


def check_configuration(credentials: CDNCredentials, path: str | None, bucket: str | None) -> Finding:
    """Name the configuration and its host.

    Args:
        credentials: What the configuration says.
        path: The file it was read from; None for the environment.
        bucket: The bucket to test in; a host must not name it.
    """
    roles = {"downloader": credentials.downloader_access_key, "uploader": credentials.uploader_access_key}
    pairs = " and ".join(role for role, key in roles.items() if key is not None)
    keys = [f"keys for {pairs}"] if pairs else []
    keys += ["anonymous downloads"] if credentials.anonymous else []
    source = "environment, CDN_HOST" if path is None else os.path.abspath(path)
    text = f"{source}: {credentials.host}, with {' and '.join(keys)}"
    folder = urlsplit(credentials.host).path.strip("/")
    if not folder:
        return Finding("configuration", "ok", text)
    text += f"; host has a path, {folder!r}"
    if bucket is not None and folder.split("/")[-1] == bucket:
        return Finding("configuration", "failed", f"{text}, which is the bucket's name",
                       f"write host: {host_without_bucket(credentials.host, bucket)}")  # fmt: skip
    return Finding("configuration", "warning", text, "if that is a bucket, take it out of host")


def host_without_bucket(host: str, bucket: str) -> str | None:
    """Return the URL that a host should probably be, given that it seems to name a bucket; None if it seems not to."""
    parts = urlsplit(host)
    if parts.path.strip("/"):
        head, _, last = parts.path.rstrip("/").rpartition("/")
        return f"{parts.scheme}://{parts.netloc}{head if last == bucket else ''}"
    if parts.netloc.lower().startswith(f"{bucket.lower()}."):
        return f"{parts.scheme}://{parts.netloc[len(bucket) + 1 :]}"
    return None
