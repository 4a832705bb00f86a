"""The command ``upload``."""

from argparse import Namespace

from cdn_cli.batch import Batch, Progress
from cdn_cli.configuration import config_path, open_manager
from cdn_cli.console import Output, UsageError
from cdn_cli.direction import UPLOAD
from cdn_cli.displays import choose
from cdn_cli.sources import find_files
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import Transfer
from cdn_engine.upload.journal import bytes_kept
from cdn_manager import TransferResult

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Upload files and directories. Return the exit status."""
    bucket = options.bucket
    config = config_path(options.config)
    output = Output(options.json, options.quiet, options.verbose)
    transfers = find_files(options.paths, options.prefix, config, options.quiet)
    with open_manager(options) as manager:
        if manager.upload_client is None:
            raise UsageError("the credentials have no uploader_access_key: this machine cannot upload")
        host = manager.upload_client.store.url

        def move(transfer: Transfer, progress: Progress) -> TransferResult:
            batch.expect(transfer, transfer.size, bytes_kept(host, bucket, transfer.key, transfer.size or 0))
            return manager.store(bucket, transfer.key, transfer.path, progress, options.overwrite)

        batch = Batch(move, transfers, options.jobs, choose(output, bucket, transfers), UPLOAD)
        return run_and_report(batch, bucket, output)
