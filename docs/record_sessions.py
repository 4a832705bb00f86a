"""Prints the sessions in docs/cli.md that show bars: real runs on pseudo-terminals, over links of a known rate.

    pip install pyte && python -P docs/record_sessions.py

A SeaweedFS on this machine is behind ``tests/support/link.py``, which carries them at that rate, with 30 ms there and
back. pyte is the terminal. What is printed is its screen after some seconds, and at the end.
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

RTT = 0.03  # seconds
SLOW, FAST = 1.25e6, 30e6  # bytes a second


def record(columns: int, moments: list[float], *arguments: str, is_interrupted: bool = False) -> None:
    """Run the command on a terminal, and print what that shows.

    Args:
        columns: The width of the terminal.
        moments: Seconds after which its screen is printed.
        arguments: Those of the command.
        is_interrupted: Press Ctrl-C after the last of the moments.
    """
    print(f"$ cdn-manager {shlex.join(arguments)}")
    terminal = Terminal(*arguments, columns=columns)
    screen = pyte.Screen(columns, 24)
    stream = pyte.ByteStream(screen)
    began, shown, last = time.monotonic(), [""], [[""]]
    while True:
        if select.select([terminal.end], [], [], 0.02)[0]:
            if not (written := terminal.read_new()):
                break
            stream.feed(written)
        shown = [line.rstrip() for line in screen.display if line.strip()]
        if moments and time.monotonic() - began >= moments[0]:
            print(f"-- after {moments[0]} s", *shown, sep="\n")
            moments = moments[1:]
            if is_interrupted and not moments:
                terminal.press_ctrl_c()
        last = [*last, shown][-8:]
    print("-- before the end", *last[0], "-- in the end", *shown, sep="\n", flush=True)
    terminal.wait()


def main() -> None:
    """Publish a model, and fetch it: over a slow link to two terminals, and over a fast one, interrupted once."""
    os.chdir(tempfile.mkdtemp())
    os.environ["XDG_STATE_HOME"] = str(Path("state").absolute())
    Path("release").mkdir()
    shutil.copy(model_file(), "release/model.safetensors")
    for number in range(200):
        Path(f"release/{number:03}.bin").write_bytes(os.urandom(5000))
    store = LocalStore()
    try:
        for bucket in ("models", "models-42", "models-100"):
            store.create_bucket(bucket)
        with Link(store.url, shared=FAST, rtt=RTT) as link:
            write_config(link.url)
            record(100, [1.5, 2.5], "upload", "models", "release")
            record(100, [1.5, 2.0], "download", "models", "--prefix", "", "--into", "out", is_interrupted=True)
            record(100, [1.0, 2.0], "download", "models", "--prefix", "", "--into", "out")
        with Link(store.url, shared=SLOW, rtt=RTT) as link:
            write_config(link.url)
            for columns in (42, 100):
                bucket = f"models-{columns}"
                record(columns, [2, 20, 60], "upload", bucket, "release/model.safetensors")
                record(columns, [2, 20, 60], "download", bucket, "model.safetensors")
    finally:
        store.close()


if __name__ == "__main__":
    main()
