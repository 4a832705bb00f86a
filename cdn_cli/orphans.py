"""The command ``orphans``."""

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from cdn_cli.configuration import open_manager
from cdn_cli.console import DONE, FAILED, Output, UsageError
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_engine.errors import explain
from cdn_engine.pool import for_each
from cdn_engine.records import Record
from cdn_engine.upload.journal import resumable
from cdn_engine.upload.orphans import abort_orphan, list_orphans
from cdn_manager import TRANSFER_ERRORS, CDNError, CDNManager

__all__ = ["run"]

_ABORTED_AT_ONCE = 16


class _Orphan(NamedTuple):
    key: str
    upload_id: str
    begun: datetime
    journal: Record | None


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """List unfinished uploads, or abort them. Return the exit status."""
    bucket = options.bucket
    report = Report(Output(options.json, options.quiet, options.verbose), bucket)
    with open_manager(options) as manager:
        client = manager.upload_client
        if client is None and options.abort and not options.dry_run:
            raise UsageError("the credentials have no uploader_access_key: this machine cannot abort anything")
        journals = resumable((client or manager.download_client).store.url, bucket)
        found = [
            _Orphan(key, upload_id, begun, journals.get(upload_id))
            for key, upload_id, begun in _list(manager, bucket, options.older_than)
        ]
        if options.abort and not options.dry_run:
            _abort(client, found, report)
        else:
            _show(found, report, "would_abort" if options.abort else "orphan")
    return FAILED if report.failed else DONE


def _list(manager: CDNManager, bucket: str, older_than: float) -> list[tuple[str, str, datetime]]:
    """List with the downloader key, or with the uploader key if that may not or there is none."""
    for role, client in (("downloader", manager.download_client), ("uploader", manager.upload_client)):
        if client is not None:
            try:
                return list_orphans(client, bucket, older_than)
            except PermissionError:
                continue
            except TRANSFER_ERRORS as error:
                credential = f"with the {role} key" if client.store.is_signed else "without a key"
                raise CDNError(f"{bucket}, asked {credential}: {explain(error)}") from error
    raise CDNError(
        f"listing the unfinished uploads of {bucket!r} needs the permission s3:ListBucketMultipartUploads, which no "
        "key in the credentials has"
    )


def _show(found: list[_Orphan], report: Report, event: str) -> None:
    verb = "would abort " if event == "would_abort" else ""
    for orphan in found:
        _tell(report, event, orphan, verb)
    text = f"{verb}{_count_text(len(found))}"
    report.tell("summary", text, {"orphans": len(found), "aborted": 0, "failed": 0})


def _abort(client: Any, found: list[_Orphan], report: Report) -> None:
    def abort(orphan: _Orphan) -> None:
        abort_orphan(client, report.bucket, orphan.key, orphan.upload_id, orphan.journal)

    aborted = 0
    for orphan, call in for_each(abort, found, _ABORTED_AT_ONCE):
        try:
            call.result()
        except (CDNError, ClientError, OSError) as error:
            report.fail(orphan.key, error)
        else:
            aborted += 1
            _tell(report, "aborted", orphan, "aborted ")
    members = {"orphans": len(found), "aborted": aborted, "failed": report.failed}
    report.tell("summary", f"aborted {_count_text(aborted)}", members)


def _tell(report: Report, event: str, orphan: _Orphan, verb: str) -> None:
    age = (datetime.now(UTC) - orphan.begun).total_seconds()
    note = "  resumable" if orphan.journal else ""
    text = f"{verb}{_age_text(age):>9}  {orphan.key}  {orphan.upload_id}{note}"
    members = {"bucket": report.bucket, "key": orphan.key, "upload_id": orphan.upload_id,
               "begun": orphan.begun.astimezone(UTC).isoformat(), "age": round(age),
               "resumable": orphan.journal is not None}  # fmt: skip
    report.tell(event, text, members)


def _age_text(seconds: float) -> str:
    """Return an age as people read it: ``3 days``, ``5 hours``, ``12 min``."""
    for size, unit in ((86400, "days"), (3600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0, seconds) // 60:.0f} min"


def _count_text(count: int) -> str:
    return "1 unfinished upload" if count == 1 else f"{count} unfinished uploads"
