"""`bench/run.py`: it measures, and its report says where ours is behind. Nothing here looks at a figure's size."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

RUN = Path(__file__).parents[2] / "bench" / "run.py"
SETUP = {"cores": "2"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")


def bench(folder, *arguments):
    """Run a quick benchmark with clients that the tests have. Return the page."""
    options = ["--quick", "--rounds", "1", "--into", str(folder), "--clients", "ours", "limit", "boto3"]
    subprocess.run([sys.executable, "-P", str(RUN), *options, "--only", *arguments], check=True)
    return (folder / "benchmarks.md").read_text(encoding="utf-8")


def measured(*figures):
    """Return what an earlier run has left: seconds by client, or the error."""
    runs = [
        {"round": 0, "client": client, "work": "digest"}
        | ({"error": seconds} if isinstance(seconds, str) else {"wall": seconds, "cpu": seconds, "memory": 1.0})
        for client, seconds in figures
    ]
    return {"rounds": 1, "setup": SETUP, "runs": runs}


def row_of(page, start):
    return next(line for line in page.splitlines() if line.startswith(f"| {start} "))


def test_downloads_and_uploads_are_measured_and_drawn(tmp_path):
    page = bench(tmp_path, "down-https-digest", "up-https-file")
    data = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    assert set(data) == {"up-https-file", "down-https-digest"}
    for found in data.values():
        assert [run["client"] for run in found["runs"] if run["work"] == "digest"] == ["ours", "limit", "boto3"]
        assert all(run["wall"] > 0 and run["cpu"] > 0 for run in found["runs"])
    for chart in ("download", "upload"):
        assert f"benchmarks/{chart}.svg" in page
        ElementTree.parse(tmp_path / "benchmarks" / f"{chart}.svg")


def test_the_report_says_where_ours_is_behind_and_keeps_earlier_figures(tmp_path):
    earlier = {
        "small-down": measured(("ours", 0.003), ("limit", 0.001), ("boto3", 0.0015), ("minio-py", "refused")),
        "small-up": measured(("ours", 0.001), ("boto3", 0.002)),
    }
    (tmp_path / "benchmarks.json").write_text(json.dumps(earlier), encoding="utf-8")
    marks = ("<!-- What follows is written by bench/run.py. -->", "<!-- Until here. -->")
    (tmp_path / "benchmarks.md").write_text(f"Before.\n{marks[0]}\nold\n{marks[1]}\nAfter.\n", encoding="utf-8")
    page = bench(tmp_path, "size-1024")
    assert page.startswith("Before.\n")
    assert page.endswith("\nAfter.\n")
    assert "\nold\n" not in page
    behind = row_of(page, "64 KiB down, with digest, one at a time")
    assert "boto3 1.50 ms | **2.00** |" in behind
    assert behind.split("|")[-2].strip()
    ahead = row_of(page, "64 KiB up, with digest, one at a time")
    assert "boto3 2.00 ms | 0.50 |" in ahead
    assert not ahead.split("|")[-2].strip()
    assert row_of(page, "minio-py").split("|")[2].strip() == "fails"
    assert row_of(page, "1 KiB")
