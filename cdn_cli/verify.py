"""The command ``verify``."""

import os
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from cdn_cli import verify_release
from cdn_cli.configuration import open_manager
from cdn_cli.console import DONE, FAILED, Output, UsageError, files_text, seconds_text, size_text
from cdn_cli.listing import list_below
from cdn_cli.report import Report
from cdn_cli.selection import Selection
from cdn_cli.signals import signals_as_interrupts
from cdn_cli.sources import Walk
from cdn_engine.download.comparison import Comparison, compare_file
from cdn_engine.pool import for_each
from cdn_manager import CDNError

__all__ = ["run"]

_JOBS = 4

_TEXTS = {
    "matches": "matches",
    "differs": "differs from the object",
    "missing": "is not at the store",
    "unverifiable": "cannot be compared: the object has no SHA-256, and its ETag does not tell",
    "not_here": "is at the store, and not here",
}


@signals_as_interrupts()
def run(options: Namespace) -> int:
    """Compare files with objects, or an installed release with its manifest. Return the exit status."""
    path, prefix = options.path, options.prefix or ""
    if not os.path.exists(path):
        raise UsageError(f"there is no file or directory {path!r}")
    if options.bucket is None:
        return verify_release.run(options)
    if options.sha256 is not None:
        raise UsageError("--sha256 is the identity of an installed release: give no BUCKET with it")
    if options.key is not None and os.path.isdir(path):
        raise UsageError("--key is the key of one object: PATH must be a file; for directories, use --prefix")
    selection = Selection(options.include, options.exclude, options.hidden)
    walk = Walk(selection, options.quiet)
    files = {prefix + (options.key or relative): file for relative, file in walk.files(path)}
    walk.tell()
    if walk.problems:
        raise UsageError(*walk.problems, "nothing was compared")
    if not files and options.prefix is None:
        raise UsageError(f"nothing to compare: there is no file in {path!r}, or none that is meant")
    verification = _Verification(Report(Output(options.json, options.quiet, options.verbose), options.bucket))
    with open_manager(options) as manager:
        client = manager.download_client
        if client is None:
            raise UsageError("the credentials have no downloader_access_key: this machine cannot compare anything")
        verification.compare(client, files, options.jobs or _JOBS)
        if options.prefix is not None and os.path.isdir(path):
            for key, size in _absent(client, options.bucket, prefix, selection, files):
                verification.tell(key, None, "not_here", size)
    return verification.end()


def _absent(
    client: Any, bucket: str, prefix: str, selection: Selection, files: dict[str, str]
) -> Iterator[tuple[str, int | None]]:
    """Yield the keys, and sizes in bytes, of the objects below the prefix of which there is no file."""
    for entry in list_below(client, bucket, prefix):
        if entry.key not in files and not entry.key.endswith("/") and selection.takes(entry.key[len(prefix):]):
            yield entry.key, entry.size


class _Verification:
    """Compares files with objects and counts what it finds.

    Args:
        report: Is told what is found.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._bucket = report.bucket
        self._counts: Counter[str] = Counter()
        self._size = 0
        self._began = time.monotonic()

    def compare(self, client: Any, files: dict[str, str], jobs: int) -> None:
        """Compare files.

        Args:
            client: The client with the downloader key.
            files: Paths by key.
            jobs: How many at a time.
        """

        def look(item: tuple[str, str]) -> Comparison:
            return compare_file(client.store, self._bucket, *item)

        for (key, path), call in for_each(look, files.items(), jobs):
            try:
                found = call.result()
            except (CDNError, ClientError, OSError) as error:
                self._report.fail(key, error, path)
            else:
                self.tell(key, path, found.state, found.size, found)

    def tell(self, key: str, path: str | None, state: str, size: int | None, found: Comparison | None = None) -> None:
        """Tell what was found about one object, and count it."""
        self._counts[state] += 1
        name = f"{self._bucket}/{key}"
        if state == "matches":
            self._size += size or 0
            text = f"matches {name}" if self._report.output.verbose else ""
        else:
            text = f"{name} {_TEXTS[state]}" if path is None else f"{path!r} {_TEXTS[state]}: {name}"
        members = {"state": state, "path": path, "bucket": self._bucket, "key": key, "size": size,
                   "sha256": found and found.sha256, "verified_by": found and found.verified_by}  # fmt: skip
        self._report.tell("compared", text, members, is_error=state != "matches")

    def end(self) -> int:
        """Tell what was found in all. Return the exit status."""
        counts, failed = self._counts, self._report.failed
        count, seconds = counts.total() + failed, time.monotonic() - self._began
        matching = counts["matches"]
        text = f"verified {files_text(count) if matching == count else f'{matching} of {files_text(count)}'}"
        text += f", {size_text(self._size)} in {seconds_text(seconds)}"
        notes = {"differs": "different", "missing": "not at the store", "unverifiable": "cannot be compared",
                 "not_here": "not here"}  # fmt: skip
        text += "".join(f", {counts[state]} {note}" for state, note in notes.items() if counts[state])
        text += f", {failed} failed" if failed else ""
        members = {**{state: counts[state] for state in _TEXTS}, "failed": failed, "size": self._size}
        self._report.tell("summary", text, {**members, "seconds": round(seconds, 3)})
        return DONE if matching == count else FAILED
