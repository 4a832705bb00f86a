"""Tests the demo: it shows what the README says, and cleans up after itself."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.fixture
def demo(tmp_path):
    """A function that starts the demo on a small file; ``demo.folder`` is its directory for temporary files."""
    payload = tmp_path / "payload.bin"
    payload.write_bytes(os.urandom(300_000))

    def start():
        environment = {**os.environ, "TMPDIR": start.folder, "PYTHONUNBUFFERED": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([sys.executable, DEMO, payload], env=environment, **pipes)

    with tempfile.TemporaryDirectory() as start.folder:
        yield start


def test_demo_shows_the_main_job_and_leaves_nothing_behind(demo):
    with demo() as running:
        output = running.stdout.read()
    assert running.returncode == 0, output
    assert "All four steps worked." in output
    assert "Now the key pairs are swapped" in output
    assert output.count("403 AccessDenied") == 2
    assert os.listdir(demo.folder) == []


def test_interrupted_demo_leaves_nothing_behind(demo):
    with demo() as running:
        for line in running.stdout:
            if "Upload" in line:
                break
        running.send_signal(signal.SIGINT)
        output = running.stdout.read()  # read to the end: closing the pipe early would break the demo in another way
    assert running.returncode == 130, output
    assert os.listdir(demo.folder) == []
