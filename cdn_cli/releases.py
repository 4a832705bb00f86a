"""The command ``releases``."""

from argparse import Namespace
from collections.abc import Iterator

from cdn_cli.configuration import open_manager
from cdn_cli.console import DONE, Output, UsageError, files_text, releases_text, size_text
from cdn_cli.listing import date_text
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_engine.errors import explain
from cdn_manager import TRANSFER_ERRORS, CDNError, CDNManager
from cdn_release import Release, ReleaseError, releases

__all__ = ["run"]


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """List releases. Return the exit status."""
    report = Report(Output(options.json, options.quiet, options.verbose), options.bucket)
    with open_manager(options) as manager:
        if manager.download_client is None:
            raise UsageError("the credentials have no downloader_access_key: this machine cannot list")
        count = 0
        for one in _listed(manager, options):
            _tell(report, one)
            count += 1
    report.tell("summary", releases_text(count), {"releases": count})
    return DONE


def _listed(manager: CDNManager, options: Namespace) -> Iterator[Release]:
    try:
        yield from releases(manager, options.bucket, prefix=options.prefix)
    except ReleaseError:
        raise  # it names the manifest
    except TRANSFER_ERRORS as error:
        raise CDNError(f"the releases in {options.bucket!r} cannot be listed: {explain(error)}") from error


def _tell(report: Report, one: Release) -> None:
    files, size = files_text(one.files), size_text(one.size)
    line = f"{date_text(one.published)}  {files:>11}  {size:>9}  {one.sha256}  {one.name}"
    report.tell("release", line, {"bucket": report.bucket, **one._asdict()})
