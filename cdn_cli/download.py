"""The command ``download``."""

import os
from argparse import Namespace
from typing import Any

from cdn_cli.batch import Batch, Progress
from cdn_cli.configuration import open_manager
from cdn_cli.console import FAILED, Output, UsageError, complain, size_text
from cdn_cli.direction import DOWNLOAD
from cdn_cli.displays import choose
from cdn_cli.keys import directories
from cdn_cli.listing import list_below
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import Transfer
from cdn_engine.download import bytes_kept
from cdn_engine.paths import local_path, path_below
from cdn_engine.wire.attempt import Attempt
from cdn_manager import TRANSFER_ERRORS, TransferResult, UnsafePathError

__all__ = ["run"]

_SIZE_TIMEOUT = 5  # seconds; a bar without a size is better than a store that is silent for longer


def run(options: Namespace) -> int:
    """Download objects. Return the exit status."""
    _check_usage(options.keys, options.prefix, options.sha256)
    bucket = options.bucket
    folder = bucket if options.into is None else options.into
    _check_folder(folder)
    output = Output(options.json, options.quiet, options.verbose)
    with open_manager(options) as manager:
        client = manager.download_client
        if client is None:
            raise UsageError("the credentials have no downloader_access_key: this machine cannot download")
        sizes = dict.fromkeys(options.keys) or _sizes_below(client, bucket, options.prefix)
        if not sizes:
            return FAILED
        refused = _refuse(sizes)
        root = os.path.realpath(folder)
        transfers = [
            Transfer(key, os.path.join(folder, *key.split("/")), None if key in refused else size)
            for key, size in sizes.items()
        ]

        def move(transfer: Transfer, progress: Progress) -> TransferResult:
            if transfer.key in refused:
                raise UnsafePathError(refused[transfer.key])
            place = local_path if options.into is None else path_below
            path = place(folder, transfer.key, root)
            size = transfer.size
            if size is None and batch.display.wants_sizes:
                size = _object_size(client, bucket, transfer.key)
            batch.expect(transfer, size, bytes_kept(path))
            result = manager.fetch(bucket, transfer.key, path, progress, options.sha256)
            if result.skipped:
                batch.display.advance(transfer, -result.size)  # the display itself counts it, and as not moved
            return result

        batch = Batch(move, transfers, options.jobs, choose(output, bucket, transfers), DOWNLOAD)
        return run_and_report(batch, bucket, output)


def _check_usage(keys: list[str], prefix: str | None, sha256: str | None) -> None:
    if bool(keys) == (prefix is not None):
        raise UsageError("download needs either KEYs or --prefix")
    if sha256 and len(set(keys)) != 1:
        raise UsageError("--sha256 is the digest of one object: give exactly one KEY with it")
    folders = [key for key in keys if key.endswith("/")]
    if folders:
        raise UsageError(*(
            f"{key!r} is not the key of an object: --prefix {key} gets everything below it" for key in folders
        ))  # fmt: skip


def _check_folder(folder: str) -> None:
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{folder!r} is not a directory: remove it, or name another place with --into DIR")


def _sizes_below(client: Any, bucket: str, prefix: str) -> dict[str, int | None]:
    """Return the sizes in bytes of all objects whose key begins with ``prefix``, by key; say why if there are none."""
    found = {entry.key: entry.size for entry in list_below(client, bucket, prefix)}
    # Some tools store an empty object whose key ends with "/" to stand for a directory.
    sizes = {key: size for key, size in found.items() if size != 0 or not key.endswith("/")}
    if not sizes:
        complain(f"no object below {prefix!r} in {bucket!r}" if prefix else f"{bucket!r} is empty")
    return sizes


def _refuse(keys: dict[str, int | None]) -> dict[str, str]:
    """Return the keys that cannot be files, and why: those that end like a directory, or are one to other keys."""
    refused = {
        key: f"it cannot be a file, being the directory of {below!r}" for key, below in directories(keys).items()
    }
    for key, size in keys.items():
        if key.endswith("/"):
            content = "content" if size is None else f"{size_text(size)} of content"
            refused[key] = f"it has {content}, but ends with '/' as only a directory does: store it under another key"
    return refused


def _object_size(client: Any, bucket: str, key: str) -> int | None:
    """Return the size of an object in bytes, None if the store does not say."""
    try:
        answer = client.store.call("HeadObject", {"Bucket": bucket, "Key": key}, Attempt(_SIZE_TIMEOUT))
    except TRANSFER_ERRORS:
        return None  # the download itself will say why, and better: the answer to a HEAD has no body
    size: int | None = answer.get("ContentLength")
    return size
