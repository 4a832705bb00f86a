"""Compares downloads by this package, minio-py and boto3: over a fast link, over a slow one, and of small objects.

    python bench/download.py [fast] [slow] [small] [--rounds 5] [--size MIB]

``fast``: 1 GiB from a sendfile server on loopback, with the client held to one core. ``slow``: 256 MiB through a proxy
with 20 MB/s and 40 ms per connection. ``small``: objects of 64 KiB. The clients take turns within each round. Printed
are the medians of wall and CPU seconds, and the ratio to ours. Before every run, a scratch file of the object's size is
written and deleted: a virtual machine returns freed pages to its host, and the first gigabyte written after a pause
would cost seconds that no client is responsible for. Needs ``pip install minio``.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from clients import run_client
from stage import SUPPORT, origin, scratch, server

FAST_MIB, SLOW_MIB, SMALL_KIB = 1024, 256, 64
SMALL_COUNT = 100
RATE, LATENCY = 20e6, 0.040


def compare(title, names, url, folder, size, rounds, count=1, core=-1):
    """Run the clients in turns, and print the medians."""
    results = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            scratch(folder, size)
            results[name].append(run_client(name, url, folder / "target", count, core))
            (folder / "target").unlink()
    medians = {name: list(map(statistics.median, zip(*rows, strict=True))) for name, rows in results.items()}
    print(f"\n{title}; medians of {rounds}")
    print(f"{'client':22}{'wall s':>10}{'CPU s':>10}{'peak MiB':>10}{'ours / it':>11}")
    for name, (wall, cpu, peak) in medians.items():
        print(f"{name:22}{wall:10.4f}{cpu:10.4f}{peak:10.0f}{medians['ours'][0] / wall:11.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", default=["fast", "slow", "small"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, help="size of the object in MiB, for a quick look")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for which in options.which:
            size = {"fast": FAST_MIB << 20, "slow": SLOW_MIB << 20, "small": SMALL_KIB << 10}[which]
            size = options.size << 20 if options.size else size
            with origin(folder, size) as (url, _):
                big = ["ours", "minio_fsync", "boto3_download_file"]
                if which == "fast":
                    compare(f"{size >> 20} MiB, one core", big, url, folder, size, options.rounds, core=0)
                elif which == "slow":
                    with server(SUPPORT / "fault_proxy.py", url, RATE, LATENCY) as (link, _):
                        compare(f"{size >> 20} MiB at 20 MB/s, 40 ms", big, link, folder, size, options.rounds)
                else:
                    small = ["ours", "get_object_fsync", "minio_fsync", "boto3_download_file"]
                    compare("64 KiB", small, url, folder, size, options.rounds, SMALL_COUNT)


if __name__ == "__main__":
    main()
