"""What ``verify`` does without a bucket: it compares an installed release with its manifest."""

import os
import time
from argparse import Namespace

from cdn_cli.console import DONE, FAILED, Output, UsageError, files_text, seconds_text, size_text
from cdn_cli.report import Report
from cdn_engine.errors import explain
from cdn_release import ReleaseMissingError, verify

__all__ = ["run"]

_TEXTS = {
    "missing": "is missing",
    "differs": "differs from what was published",
    "mode": "has other permissions than were published",
    "extra": "does not belong to the release",
    "unreadable": "cannot be read",
}


def run(options: Namespace) -> int:
    """Compare an installed release with its manifest. Return the exit status."""
    if options.prefix is not None or options.key is not None or options.include or options.exclude or options.hidden:
        raise UsageError("--prefix, --key, --include, --exclude and --hidden are for a comparison with a BUCKET")
    report = Report(Output(options.json, options.quiet, options.verbose), "")
    began = time.monotonic()
    try:
        found = verify(options.path, sha256=options.sha256)
    except ReleaseMissingError as error:
        link = os.path.join(options.path, "current")
        if os.path.lexists(link):
            raise UsageError(f"{options.path!r} is no release, but has some: give {link!r}") from error
        raise UsageError(f"{explain(error)}; to compare files with objects, give BUCKET too") from error
    for path, what in found.problems:
        path = os.path.join(options.path, *path.split("/"))
        report.tell("problem", f"{path!r} {_TEXTS[what]}", {"path": path, "what": what}, is_error=True)
    seconds = time.monotonic() - began
    count = len(found.problems)
    text = f"verified {found.name}: {files_text(found.files)}, {size_text(found.size)} in {seconds_text(seconds)}, "
    text += "whole" if found.whole else f"{count} problem{'s' * (count > 1)}"
    report.tell("summary", f"{text}; sha256 {found.sha256}", {
        "name": found.name, "sha256": found.sha256, "files": found.files, "size": found.size, "problems": count,
        "whole": found.whole, "seconds": round(seconds, 3),
    })  # fmt: skip
    return DONE if found.whole else FAILED
