"""The command ``download``."""

import os
from argparse import Namespace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cdn_cli.batch import Batch, Progress
from cdn_cli.configuration import config_path, open_manager
from cdn_cli.console import FAILED, Output, UsageError, complain
from cdn_cli.displays import choose
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import Transfer
from cdn_engine.download import bytes_kept
from cdn_engine.paths import local_path, path_below
from cdn_manager import TransferResult

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Download objects. Return the exit status."""
    _check_usage(options.keys, options.prefix, options.sha256)
    bucket = options.bucket
    output = Output(options.json, options.quiet, options.verbose)
    with open_manager(config_path(options.config), options.jobs, options.quiet) as manager:
        client = manager.download_client
        if client is None:
            raise UsageError("the credentials have no downloader_access_key: this machine cannot download")
        sizes = dict.fromkeys(options.keys) if options.keys else _sizes_below(client, bucket, options.prefix)
        if not sizes:
            complain(f"no object below {options.prefix!r} in {bucket!r}" if options.prefix else f"{bucket!r} is empty")
            return FAILED
        folder = bucket if options.into is None else options.into
        transfers = [Transfer(key, os.path.join(folder, *key.split("/")), size) for key, size in sizes.items()]

        def move(transfer: Transfer, progress: Progress) -> TransferResult:
            path = local_path(bucket, transfer.key) if options.into is None else path_below(folder, transfer.key)
            size = transfer.size
            if size is None and batch.display.wants_sizes:
                size = _object_size(client, bucket, transfer.key)
            batch.expect(transfer, size, bytes_kept(path))
            return manager.fetch(bucket, transfer.key, path, progress, options.sha256)

        batch = Batch(move, transfers, options.jobs, choose(output, bucket, transfers))
        advice = "what was received is kept: run the command again to resume"
        return run_and_report(batch, bucket, output, "downloaded", advice)


def _check_usage(keys: list[str], prefix: str | None, sha256: str | None) -> None:
    if bool(keys) == (prefix is not None):
        raise UsageError("download needs either KEYs or --prefix")
    if sha256 and len(set(keys)) != 1:
        raise UsageError("--sha256 is the digest of one object: give exactly one KEY with it")
    for key in keys:
        if key.endswith("/"):
            raise UsageError(f"{key!r} is not the key of an object: --prefix {key} gets everything below it")


def _sizes_below(client: Any, bucket: str, prefix: str) -> dict[str, int | None]:
    """Return the sizes in bytes of all objects whose key begins with ``prefix``, by key."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    entries = (entry for page in pages for entry in page.get("Contents", ()))
    # Some tools store an object whose key ends with "/" to stand for a directory.
    return {entry["Key"]: entry["Size"] for entry in entries if not entry["Key"].endswith("/")}


def _object_size(client: Any, bucket: str, key: str) -> int | None:
    """Return the size of an object in bytes, None if the store does not say."""
    try:
        size: int = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
    except (BotoCoreError, ClientError):
        return None  # the download itself will say why, and better: the answer to a HEAD has no body
    return size
