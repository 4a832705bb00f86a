"""The command ``upload``."""

import io
import os
import stat
import sys
from argparse import Namespace
from typing import Any

from cdn_cli import dry_run
from cdn_cli.batch import Batch, Progress
from cdn_cli.configuration import open_manager
from cdn_cli.console import Output, UsageError
from cdn_cli.direction import UPLOAD
from cdn_cli.displays import choose
from cdn_cli.dry_run import Decision
from cdn_cli.selection import Selection
from cdn_cli.sources import find_files
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import Transfer
from cdn_config.configuration import configuration_path
from cdn_engine.download.comparison import compare_file
from cdn_engine.paths import objection_to_key
from cdn_engine.upload.journal import bytes_kept
from cdn_manager import CDNManager, ObjectExistsError, TransferResult

__all__ = ["run"]

_STDIN = "-"


def run(options: Namespace) -> int:
    """Upload files and directories. Return the exit status."""
    _check_usage(options.paths, options.key)
    bucket = options.bucket
    output = Output(options.json, options.quiet, options.verbose)
    transfers = _transfers(options)
    with open_manager(options) as manager:
        if options.dry_run:

            def decide(transfer: Transfer) -> Decision:
                return _decide(manager, bucket, transfer, options.overwrite)

            return dry_run.show(decide, transfers, options.jobs, bucket, output, "upload")
        if manager.upload_client is None:
            raise UsageError("the credentials have no uploader_access_key: this machine cannot upload")
        host = manager.upload_client.store.url

        def move(transfer: Transfer, progress: Progress) -> TransferResult:
            batch.expect(transfer, transfer.size, bytes_kept(host, bucket, transfer.key, transfer.size or 0))
            source = _standard_input(progress) if transfer.path == _STDIN else transfer.path
            return manager.store(bucket, transfer.key, source, progress, options.overwrite)

        batch = Batch(move, transfers, options.jobs, choose(output, bucket, transfers), UPLOAD)
        return run_and_report(batch, bucket, output)


class _Input(io.RawIOBase):
    """A pipe on standard input, of which nothing is stored once the command is interrupted.

    Ctrl-C also ends what writes to the pipe; what had come until then would look like all of it.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def readinto(self, buffer: Any) -> int:
        pipe: Any = sys.stdin.buffer
        count: int = pipe.readinto(buffer)
        self._progress(0)
        return count


def _standard_input(progress: Progress) -> Any:
    """Return standard input as a payload. A file there can be read twice, and need not be copied first."""
    is_file = stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    return sys.stdin.buffer if is_file else _Input(progress)


def _check_usage(paths: list[str], key: str | None) -> None:
    if _STDIN in paths:
        if paths != [_STDIN] or key is None:
            raise UsageError("'-' is standard input: give --key KEY and no other PATH with it (a file: './-')")
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("standard input is a terminal: send the content through a pipe, or name a file")
    elif key is not None and (len(paths) != 1 or os.path.isdir(paths[0])):
        raise UsageError("--key is the key of one object: give exactly one file with it; for directories, use --prefix")


def _transfers(options: Namespace) -> list[Transfer]:
    selection = Selection(options.include, options.exclude, options.hidden)
    if options.paths == [_STDIN]:
        key = options.prefix + options.key
        if problem := objection_to_key(key):
            raise UsageError(f"change --key or --prefix: no machine could download {key!r}: {problem}")
        return [Transfer(key, _STDIN, None)]
    config = configuration_path(options.config)
    return find_files(options.paths, options.prefix, config, selection, options.quiet, options.key)


def _decide(manager: CDNManager, bucket: str, transfer: Transfer, overwrite: Any) -> Decision:
    """Return what an upload would do."""
    key, path, size = transfer
    if manager.download_client is None or path == _STDIN or overwrite is True:
        return Decision(True, size, is_compared=overwrite is True)
    found = compare_file(manager.download_client.store, bucket, key, path)
    if overwrite is False and found.state != "missing":
        raise ObjectExistsError("the object already exists and would not be replaced")
    # By its digest alone: an upload would give one to an object that has none.
    return Decision(found.verified_by != "sha256", size)
