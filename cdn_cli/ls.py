"""The command ``ls``."""

import time
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from cdn_cli.configuration import open_manager
from cdn_cli.console import DONE, FAILED, Output, UsageError, complain, objects_text, size_text
from cdn_cli.listing import date_text, list_below
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_engine.download.answer import digest_of
from cdn_engine.download.listing import Entry
from cdn_engine.download.remote import RemoteObject
from cdn_engine.pool import for_each
from cdn_engine.wire.deadline import Deadline

__all__ = ["run"]

_ASKED_AT_ONCE = 16  # objects whose digests are asked for


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """List objects. Return the exit status."""
    bucket, prefix = options.bucket, options.prefix or ""
    report = Report(Output(options.json, options.quiet, options.verbose), bucket)
    with open_manager(options) as manager:
        client = manager.download_client
        if client is None:
            raise UsageError("the credentials have no downloader_access_key: this machine cannot list")
        entries = list_below(client, bucket, prefix)
        count = total = 0
        for entry, digest in _digests(client, bucket, entries, report) if options.digests else _alone(entries):
            _tell(report, entry, digest, options.digests)
            count += 1
            total += entry.size or 0
    if prefix and not count:
        complain(f"no key begins with {prefix!r} in {bucket!r}")
        return FAILED
    text = f"{objects_text(count)}, {size_text(total)}"
    report.tell("summary", text, {"objects": count, "failed": report.failed, "size": total})
    return FAILED if report.failed else DONE


def _alone(entries: Iterator[Entry]) -> Iterator[tuple[Entry, str | None]]:
    return ((entry, None) for entry in entries)


def _digests(
    client: Any, bucket: str, entries: Iterator[Entry], report: Report
) -> Iterator[tuple[Entry, str | None]]:
    """Yield the objects with the SHA-256 in their metadata, for each of which the store is asked."""

    def ask(entry: Entry) -> str | None:
        head = RemoteObject(client.store, bucket, entry.key, {}).head(Deadline(None), time.sleep, "")
        return digest_of(head)

    for entry, answer in for_each(ask, entries, _ASKED_AT_ONCE):
        try:
            yield entry, answer.result()
        except ClientError as error:
            report.fail(entry.key, error)


def _tell(report: Report, entry: Entry, digest: str | None, with_digest: bool) -> None:
    members = {**entry._asdict(), "bucket": report.bucket, **({"sha256": digest} if with_digest else {})}
    size = "-" if entry.size is None else size_text(entry.size)
    column = f"  {digest or '-':<64}" if with_digest else ""
    report.tell("object", f"{date_text(entry.modified)}  {size:>9}{column}  {entry.key}", members)
