#!/usr/bin/env python3
"""Turns what ``cdn-manager`` tells of a run into metrics for the textfile collector of Prometheus' node exporter.

    cdn-manager download models --prefix v2 --json | cdn_textfile.py /var/lib/node_exporter/cdn_nightly.prom
    cdn_textfile.py /var/lib/node_exporter/cdn_nightly.prom /var/log/cdn-models/cdn.log

The first passes on what it reads; the second takes the last run in a file that ``--log-file`` has written. The metrics
appear whole, by a rename. A run that ended without a summary, because its configuration was wrong or the store could
not be listed, is a failed one. Needs nothing but Python.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

PREFIX = "cdn_manager_last_run_"
LAST_SUCCESS = "cdn_manager_last_success_timestamp_seconds"

# Metric, its help, the member of the summary.
NUMBERS = [
    ("duration_seconds", "How long the run took.", "seconds"),
    ("moving_seconds", "How long bytes moved in it.", "moving_seconds"),
    ("object_bytes", "Size of the objects that were done.", "size"),
    ("transferred_bytes", "Bytes that were transferred, those sent again included.", "transferred"),
    ("resumed_bytes", "Bytes that an earlier run had transferred.", "resumed"),
]
FILES = ("done", "skipped", "failed", "not_tried", "unverified")


def metrics_of(summary, now, last_success):
    """Return the lines of the file.

    Args:
        summary: The last object that the command printed; None if there was none.
        now: The time in seconds since 1970.
        last_success: When a run last succeeded; None if that is not known.
    """
    bad = ("failed", "not_tried", "interrupted")
    is_good = summary is not None and not any(summary.get(member) for member in bad)
    if is_good:
        last_success = now
    lines = metric(f"{PREFIX}timestamp_seconds", "When the run ended, in seconds since 1970.", {"": round(now)})
    lines += metric(f"{PREFIX}success", "1 if every file was done, 0 otherwise.", {"": int(is_good)})
    if last_success is not None:
        lines += metric(LAST_SUCCESS, "When a run last succeeded, in seconds since 1970.", {"": round(last_success)})
    if summary is not None:
        for name, text, member in NUMBERS:
            if member in summary:  # only those of a transfer have all of them
                lines += metric(PREFIX + name, text, {"": summary[member]})
        counts = {f'{{state="{state}"}}': summary[state] for state in FILES if state in summary}
        text = "How many files ended how; those that are skipped had not changed, and are done as well."
        lines += metric(f"{PREFIX}files", text, counts)
    return lines


def metric(name, text, samples):
    """Return the lines of one metric."""
    values = [f"{name}{labels} {value}" for labels, value in samples.items()]
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge", *values]


def last_success_in(path):
    """Return when a run last succeeded by the file of the run before."""
    try:
        found = re.search(rf"^{LAST_SUCCESS} (\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    except FileNotFoundError:
        return None
    return None if found is None else float(found[1])


def summary_in(lines):
    """Return the summary of the last run; None if it has none."""
    summary = run = None
    for line in lines:
        event = json.loads(line)
        if event.get("pid") != run:
            summary, run = None, event.get("pid")
        if event["event"] == "summary":
            summary = event
    return summary


def passed_on(lines):
    """Yield lines, and print them."""
    for line in lines:
        sys.stdout.write(line)
        yield line


def main():
    path = Path(sys.argv[1])
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as log:
            summary = summary_in(log)
    else:
        summary = summary_in(passed_on(sys.stdin))
    lines = metrics_of(summary, time.time(), last_success_in(path))
    draft = path.with_name(f"{path.name}.{os.getpid()}")  # the collector reads only *.prom
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.chmod(0o644)  # the exporter is another user
    draft.replace(path)


if __name__ == "__main__":
    main()
