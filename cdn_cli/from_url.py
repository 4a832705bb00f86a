"""What ``download --url`` does."""

import os
import sys
from argparse import Namespace

from cdn_cli.batch import Batch, Progress
from cdn_cli.configuration import read_settings
from cdn_cli.console import Output, UsageError
from cdn_cli.direction import DOWNLOAD
from cdn_cli.displays import choose
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import Transfer
from cdn_engine.download import bytes_kept
from cdn_engine.download.presigned import host_of, key_of, objection_to_url
from cdn_engine.paths import path_below
from cdn_engine.wire.keys import Hidden
from cdn_manager import TransferResult, fetch_url, limit_rate

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Download from a URL, without credentials. Return the exit status."""
    if options.bucket is not None or options.keys or options.prefix is not None:
        raise UsageError("--url names the object: give neither BUCKET nor KEY nor --prefix with it")
    if options.include or options.exclude or options.dry_run:
        raise UsageError("--include, --exclude and --dry-run are not for a --url")
    if options.output is not None and options.into is not None:
        raise UsageError("--output names the file: give no --into with it")
    settings = read_settings(options)
    if settings.limit_rate is not None:
        limit_rate(settings.limit_rate)
    url = _read_url() if options.url == "-" else Hidden(options.url)
    if (problem := objection_to_url(url)) is not None:
        raise UsageError(problem)
    host, key = host_of(url).partition("://")[2], key_of(url)
    path = options.output or path_below(options.into or os.curdir, key.rpartition("/")[2])

    def move(transfer: Transfer, progress: Progress) -> TransferResult:
        batch.expect(transfer, None, bytes_kept(path))
        config = settings.client_config()
        return fetch_url(url, path, progress, options.sha256, settings.deadline, config)

    output = Output(options.json, options.quiet, options.verbose)
    transfers = [Transfer(key, os.path.relpath(path), None)]
    batch = Batch(move, transfers, 1, choose(output, host, transfers), DOWNLOAD)
    return run_and_report(batch, host, output)


def _read_url() -> str:
    """Return the URL on standard input: the command line can be seen by other users."""
    return Hidden(sys.stdin.readline().strip())
