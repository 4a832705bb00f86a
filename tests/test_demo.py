"""The demo: what the README promises of it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "examples" / "demo.py"


@pytest.fixture
def demo(tmp_path):
    """A function that starts the demo on a small file; the directory where it may leave nothing is ``demo.folder``."""
    payload = tmp_path / "payload.bin"
    payload.write_bytes(os.urandom(300_000))

    def start():
        environment = {**os.environ, "TMPDIR": start.folder, "PYTHONUNBUFFERED": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([sys.executable, DEMO, payload], env=environment, **pipes)

    with tempfile.TemporaryDirectory() as start.folder:
        yield start


def test_the_demo_shows_the_main_job_and_leaves_nothing_behind(demo):
    with demo() as running:
        said = running.stdout.read()
    assert running.returncode == 0, said
    assert "All of it held." in said
    assert said.count("403 AccessDenied") == 2
    assert os.listdir(demo.folder) == []


def test_the_demo_leaves_nothing_behind_after_an_interrupt(demo):
    with demo() as running:
        while "Upload" not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGINT)
        said = running.stdout.read()  # closing the pipe at once would be another failure than the interrupt
    assert running.returncode == 130, said
    assert os.listdir(demo.folder) == []
