"""A process that reads ``DIR/current`` about a thousand times a second, as a service that loads a model would.

It resolves the link once for each look, and then wants all files of that release, and no others. For each line that it
reads it prints how often it has looked, by release; when it has found a fault, it prints that and ends.
"""

import collections
import json
import os
import random
import select
import sys
import time

from releases import fault_in, files_of

_PERIOD = 0.001  # seconds
_SAMPLE = 4096  # bytes of a file that are compared


def main(directory, size):
    releases = {name: files_of(name, int(size)) for name in ("v1", "v2")}
    looks = collections.Counter()
    began = due = time.monotonic()
    while True:
        if fault := _look(directory, releases, looks):
            print(json.dumps({"fault": fault}), flush=True)
            return
        now = time.monotonic()
        due = max(due + _PERIOD, now)
        if select.select([sys.stdin], [], [], due - now)[0]:
            if not sys.stdin.readline():
                return
            print(json.dumps({**looks, "seconds": time.monotonic() - began}), flush=True)


def _look(directory, releases, looks):
    """Read what is current. Return what is wrong with it."""
    root = os.path.realpath(os.path.join(directory, "current"))
    name = os.path.basename(root)
    looks[name] += 1
    try:
        fault = fault_in(root, releases[name], _holds)
    except (OSError, KeyError) as error:
        fault = repr(error)
    return fault and f"{root}: {fault}"


def _holds(path, content):
    start = random.randrange(max(1, len(content) - _SAMPLE))
    with open(path, "rb") as file:
        file.seek(start)
        return os.fstat(file.fileno()).st_size == len(content) and file.read(_SAMPLE) == content[start:][:_SAMPLE]


if __name__ == "__main__":
    main(*sys.argv[1:])
