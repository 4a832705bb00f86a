"""What a download benchmark needs around its clients: an object, servers in processes of their own, a clean disk."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SUPPORT = HERE.parent / "tests" / "support"
_MIB = 1 << 20


@contextlib.contextmanager
def server(program, *arguments):
    """Run a server that prints its URL and ends with its standard input. Yields the URL and a list.

    What the server prints when it ends is in the list after the ``with`` block.
    """
    process = subprocess.Popen(
        [sys.executable, *map(str, (program, *arguments))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    last_words = []
    try:
        yield process.stdout.readline().strip(), last_words
    finally:
        process.stdin.close()
        last_words.append(process.stdout.read())
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def origin(folder, size):
    """Serve an object of ``size`` bytes. Yields the URL and the file that the object is read from."""
    source = folder / "source"
    with source.open("wb") as file:
        for first in range(0, size, _MIB):
            file.write(os.urandom(min(_MIB, size - first)))
    with server(HERE / "origin.py", source) as (url, _):
        yield url, source


def scratch(folder, size):
    """Write and delete a file: a virtual machine returns freed pages to its host, and the next one to write pays."""
    path = folder / "scratch"
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(bytes(_MIB))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
