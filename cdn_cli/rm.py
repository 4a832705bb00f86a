"""The command ``rm``."""

import sys
import time
from argparse import Namespace
from typing import Any

from botocore.exceptions import ClientError

from cdn_cli.configuration import open_manager
from cdn_cli.console import DONE, FAILED, Output, UsageError, agrees, complain, objects_text, size_text
from cdn_cli.listing import list_below
from cdn_cli.report import Report
from cdn_cli.signals import signals_as_interrupts
from cdn_engine.download.remote import RemoteObject
from cdn_engine.pool import for_each
from cdn_engine.upload.unchanged import forget
from cdn_engine.wire import retry
from cdn_engine.wire.deadline import Deadline
from cdn_manager import CDNError, CDNManager

__all__ = ["run"]

# One DeleteObject each: DeleteObjects wants a digest of its body, and stores do not agree on which.
_REMOVED_AT_ONCE = 16


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """Remove objects. Return the exit status."""
    _check_usage(options)
    bucket = options.bucket
    report = Report(Output(options.json, options.quiet, options.verbose), bucket)
    with open_manager(options) as manager:
        if manager.upload_client is None and not options.dry_run:
            raise UsageError("the credentials have no uploader_access_key: this machine cannot remove anything")
        sizes: dict[str, int | None] = dict.fromkeys(options.keys)
        if options.prefix is not None:
            sizes = _sizes_below(manager.download_client, bucket, options.prefix)
            if not sizes:
                complain(f"no object below {options.prefix!r} in {bucket!r}")
                return FAILED
            if not (options.yes or options.dry_run) and not agrees(_question(bucket, options.prefix, sizes)):
                complain("nothing was removed")
                return FAILED
        _Removal(manager, report, options.dry_run).run(sizes)
    return FAILED if report.failed else DONE


def _check_usage(options: Namespace) -> None:
    if bool(options.keys) == (options.prefix is not None):
        raise UsageError("rm needs either KEYs or --prefix")
    if folders := [key for key in options.keys if key.endswith("/")]:
        # SeaweedFS answers for them as if they were objects, and may keep what is below.
        raise UsageError(*(f"{key!r} is a directory: --prefix {key} removes everything below it" for key in folders))
    if options.prefix == "":  # such as "$P" in a script where P is not set
        raise UsageError("rm does not empty a bucket: give --prefix the name of a directory")
    if options.prefix and not (options.yes or options.dry_run or (sys.stdin.isatty() and sys.stderr.isatty())):
        raise UsageError("rm --prefix asks before it removes anything, and there is no terminal: give --yes")


def _sizes_below(client: Any, bucket: str, prefix: str) -> dict[str, int | None]:
    if client is None:
        raise UsageError("--prefix lists with the downloader key, and the credentials have none: give KEYs")
    return {entry.key: entry.size for entry in list_below(client, bucket, prefix)}


def _question(bucket: str, prefix: str, sizes: dict[str, int | None]) -> str:
    total = size_text(sum(size or 0 for size in sizes.values()))
    return f"remove {objects_text(len(sizes))} ({total}) below {prefix!r} from {bucket!r}?"


class _Removal:
    """Removes objects, or shows which it would.

    Args:
        manager: Its clients ask for the objects and remove them.
        report: Is told what happens.
        is_trial: Remove nothing.
    """

    def __init__(self, manager: CDNManager, report: Report, is_trial: bool) -> None:
        self._reader = manager.download_client
        self._writer = manager.upload_client
        self._bucket = report.bucket
        self._report = report
        self._is_trial = is_trial
        self._event = "would_remove" if is_trial else "removed"
        self._verb = "would remove" if is_trial else "removed"

    def run(self, sizes: dict[str, int | None]) -> None:
        """Remove objects.

        Args:
            sizes: Their sizes in bytes, by key; None for one of which it is not known whether it exists.
        """
        count = total = 0
        for (key, _), call in for_each(self._remove, sizes.items(), _REMOVED_AT_ONCE):
            try:
                found, answer = call.result()
            except (CDNError, ClientError) as error:
                self._report.fail(key, error)
                continue
            count += 1
            total += found or 0
            marker = bool(answer.get("DeleteMarker"))
            note = " (its older versions remain)" if marker else ""
            members = {"bucket": self._bucket, "key": key, "size": found, "delete_marker": marker,
                       "version_id": answer.get("VersionId")}  # fmt: skip
            self._report.tell(self._event, f"{self._verb} {self._bucket}/{key}{note}", members)
        text = f"{self._verb} {objects_text(count)}" + (f", {size_text(total)}" if self._reader else "")
        self._report.tell("summary", text, {self._event: count, "failed": self._report.failed, "size": total})

    def _remove(self, item: tuple[str, int | None]) -> tuple[int | None, dict[str, Any]]:
        """Return the size of the object, if it is known, and what the store has answered."""
        key, size = item
        if size is None and self._reader is not None:
            size = self._size_of(key)
        if self._is_trial:
            return size, {}
        forget(self._writer.store.url, self._bucket, key)
        answer: dict[str, Any] = self._writer.delete_object(Bucket=self._bucket, Key=key)
        forget(self._writer.store.url, self._bucket, key)
        return size, answer

    def _size_of(self, key: str) -> int | None:
        """Return the size of an object, which the answer to its removal would not say, nor that there is none."""
        try:
            head = RemoteObject(self._reader.store, self._bucket, key, {}).head(Deadline(None), time.sleep, "")
        except ClientError as error:
            status = retry.status_of(error)
            if status == 403:
                return None  # this key may not see it, which says nothing about the other one
            if status != 404:
                raise
            wildcard = next((character for character in "*?" if character in key), None)
            advice = f": {wildcard!r} is a character of the key here" if wildcard else ""
            raise CDNError(f"no such object{advice}") from error
        size: int | None = head.get("ContentLength")
        return size
