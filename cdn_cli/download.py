"""The command ``download``."""

import os
import time
from argparse import Namespace
from typing import Any

from cdn_cli import dry_run, from_url
from cdn_cli.batch import Batch, Progress
from cdn_cli.configuration import open_manager
from cdn_cli.console import FAILED, Output, UsageError, complain, size_text
from cdn_cli.direction import DOWNLOAD
from cdn_cli.displays import choose
from cdn_cli.dry_run import Decision
from cdn_cli.keys import directories
from cdn_cli.listing import list_below
from cdn_cli.selection import Selection
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import Transfer
from cdn_engine.download import bytes_kept
from cdn_engine.download.existing import is_there
from cdn_engine.download.remote import RemoteObject
from cdn_engine.paths import Target, local_path, path_below
from cdn_engine.wire.deadline import Deadline
from cdn_manager import TransferResult, UnsafePathError

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Download objects. Return the exit status."""
    if options.url is not None:
        return from_url.run(options)
    _check_usage(options)
    selection = Selection(options.include, options.exclude)
    bucket = options.bucket
    folder = bucket if options.into is None else options.into
    if options.output is None:
        _check_folder(folder)
    output = Output(options.json, options.quiet, options.verbose)
    with open_manager(options) as manager:
        client = manager.download_client
        if client is None:
            raise UsageError("the credentials have no downloader_access_key: this machine cannot download")
        sizes = dict.fromkeys(options.keys) or _sizes_below(client, bucket, options.prefix, selection)
        if not sizes:
            return FAILED
        place = _Place(folder, options.into is None, options.output, _refuse(sizes))
        transfers = [
            Transfer(key, place.name_of(key), None if key in place.refused else size) for key, size in sizes.items()
        ]

        def move(transfer: Transfer, progress: Progress) -> TransferResult:
            path = place.path_of(transfer.key)
            batch.expect(transfer, transfer.size, bytes_kept(path))
            return manager.fetch(bucket, transfer.key, path, progress, options.sha256)

        def decide(transfer: Transfer) -> Decision:
            return _decide(client, bucket, transfer, place.path_of(transfer.key), options.sha256)

        if options.dry_run:
            return dry_run.show(decide, transfers, options.jobs, bucket, output, "download")
        batch = Batch(move, transfers, options.jobs, choose(output, bucket, transfers), DOWNLOAD)
        return run_and_report(batch, bucket, output)


class _Place:
    """Where objects go.

    Args:
        folder: The directory.
        is_named_like_bucket: It is the one in the working directory that is named like the bucket.
        output: The file that the one object goes to instead; None for none.
        refused: The keys that cannot be files, and why.
    """

    def __init__(
        self, folder: str, is_named_like_bucket: bool, output: str | None, refused: dict[str, str]
    ) -> None:
        self._folder = folder
        self._root = os.path.realpath(folder)
        self._below = local_path if is_named_like_bucket else path_below
        self._output = output
        self.refused = refused

    def name_of(self, key: str) -> str:
        """Return the path of an object's file as people read it."""
        return self._output or os.path.join(self._folder, *key.split("/"))

    def path_of(self, key: str) -> str | Target:
        """Return the path of an object's file.

        Raises:
            UnsafePathError: It would not be below the directory, or cannot be a file.
        """
        if key in self.refused:
            raise UnsafePathError(self.refused[key])
        return self._output or self._below(self._folder, key, self._root)


def _check_usage(options: Namespace) -> None:
    keys, count = options.keys, len(set(options.keys))
    if options.bucket is None:
        raise UsageError("download needs a BUCKET, or --url")
    if bool(keys) == (options.prefix is not None):
        raise UsageError("download needs either KEYs or --prefix")
    if options.sha256 and count != 1:
        raise UsageError("--sha256 is the digest of one object: give exactly one KEY with it")
    if (options.include or options.exclude) and keys:
        raise UsageError("--include and --exclude are about the objects below --prefix, not about KEYs")
    if options.output is not None and (count != 1 or options.into is not None):
        raise UsageError("--output is the file of one object: give exactly one KEY with it, and not --into")
    if options.output is not None and os.path.isdir(options.output):
        raise UsageError(f"{options.output!r} is a directory: add the name of the file, or give --into")
    folders = [key for key in keys if key.endswith("/")]
    if folders:
        raise UsageError(*(
            f"{key!r} is not the key of an object: --prefix {key} gets everything below it" for key in folders
        ))  # fmt: skip


def _check_folder(folder: str) -> None:
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{folder!r} is not a directory: remove it, or name another place with --into DIR")


def _sizes_below(client: Any, bucket: str, prefix: str, selection: Selection) -> dict[str, int | None]:
    """Return the sizes in bytes of the objects whose key begins with ``prefix``, by key; say why if there are none."""
    sizes = {
        entry.key: entry.size
        for entry in list_below(client, bucket, prefix)
        # Some tools store an empty object whose key ends with "/" to stand for a directory.
        if (entry.size != 0 or not entry.key.endswith("/")) and selection.takes(entry.key[len(prefix):])
    }
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


def _decide(client: Any, bucket: str, transfer: Transfer, path: str | Target, sha256: str | None) -> Decision:
    """Return what a download would do."""
    size = transfer.size
    if size is None:  # and it is not known whether there is such an object
        remote = RemoteObject(client.store, bucket, transfer.key, {})
        size = remote.head(Deadline(None), time.sleep, "").get("ContentLength")
    return Decision(not is_there(client.store, bucket, transfer.key, path, sha256), size)
