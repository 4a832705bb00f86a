"""Prints the sessions in docs/cli.md that show bars: a real run of each, on a pseudo-terminal, over a slow link.

    pip install pyte && python -P docs/record_sessions.py

A SeaweedFS on this machine is behind ``tests/support/link.py``, which carries 10 Mbit/s with 30 ms there and back. pyte
is the terminal. What is printed is its screen after some seconds, and at the end.
"""

import os
import select
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import pyte
from command import write_config
from link import Link
from local_store import LocalStore, model_file
from terminal import Terminal

RATE, RTT = 1.25e6, 0.03  # bytes a second, seconds
MOMENTS = (2, 20, 60)  # seconds


def record(columns: int, *arguments: str) -> None:
    """Run the command on a terminal, and print what that shows."""
    print(f"$ cdn-manager {shlex.join(arguments)}")
    terminal = Terminal(*arguments, columns=columns)
    screen = pyte.Screen(columns, 24)
    stream = pyte.ByteStream(screen)
    began, moments, last = time.monotonic(), list(MOMENTS), []
    while True:
        if select.select([terminal.end], [], [], 0.05)[0]:
            if not (written := terminal.read_new()):
                break
            stream.feed(written)
        shown = [line.rstrip() for line in screen.display if line.strip()]
        if moments and time.monotonic() - began >= moments[0]:
            print(f"-- after {moments.pop(0)} s", *shown, sep="\n")
        last = [*last, shown][-4:]
    print("-- before the end", *last[0], "-- in the end", *shown, sep="\n")
    terminal.wait()


def main() -> None:
    """Publish a model, and fetch it."""
    os.chdir(tempfile.mkdtemp())
    os.environ["XDG_STATE_HOME"] = str(Path("state").absolute())
    Path("release").mkdir()
    shutil.copy(model_file(), "release/model.safetensors")
    Path("release/config.json").write_text('{"hidden_size": 384}')
    store = LocalStore()
    try:
        with Link(store.url, shared=RATE, rtt=RTT) as link:
            write_config(link.url)
            for columns in (42, 100):
                bucket = "models" if columns == 42 else "models-wide"
                store.create_bucket(bucket)
                record(columns, "upload", bucket, "release")
                record(columns, "download", bucket, "--prefix", "", "--into", f"out-{columns}")
    finally:
        store.close()


if __name__ == "__main__":
    main()
