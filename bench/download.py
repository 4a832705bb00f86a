"""Compares downloads by this package, minio-py and boto3: over a fast link, over a slow one, and of small objects.

    python bench/download.py [fast] [slow] [small] [--rounds 5] [--size MIB]

``fast``: 1 GiB from a sendfile server on loopback, with the client held to one core. ``slow``: 256 MiB through a proxy
with 20 MB/s and 40 ms per connection. ``small``: objects of 64 KiB. The clients take turns within each round. Printed
are the medians of wall and CPU seconds, and the ratio to ours. Before every run, a scratch file of the object's size is
written and deleted: a virtual machine returns freed pages to its host, and the first gigabyte written after a pause
would cost seconds that no client is responsible for. Needs ``pip install minio``.
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
KEYS = ("reader", "reader-secret")
FAST_MIB, SLOW_MIB, SMALL_KIB = 1024, 256, 64
SMALL_COUNT = 100
RATE, LATENCY = 20e6, 0.040


def ours(url, target):
    from cdn_manager import CDNCredentials, CDNManager

    manager = CDNManager(CDNCredentials(url, *KEYS))
    return lambda: manager.fetch("bucket", "object", path=target)


def minio_fsync(url, target):
    from minio import Minio

    client = Minio(url.removeprefix("http://"), *KEYS, secure=False, region="us-east-1")

    def run():
        client.fget_object("bucket", "object", target)
        _sync(target)

    return run


def _boto3_client(url):
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEYS[0], aws_secret_access_key=KEYS[1],
        config=Config(max_pool_connections=20, response_checksum_validation="when_required"),
    )


def boto3_download_file(url, target):
    client = _boto3_client(url)
    return lambda: client.download_file("bucket", "object", target)


def get_object_fsync(url, target):
    client = _boto3_client(url)

    def run():
        with open(target, "wb") as file:
            file.write(client.get_object(Bucket="bucket", Key="object")["Body"].read())
            file.flush()
            os.fsync(file.fileno())

    return run


CLIENTS = {call.__name__: call for call in (ours, minio_fsync, boto3_download_file, get_object_fsync)}


def _sync(path):
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


def measure(name, url, target, count, core):
    """Run one client ``count`` times in this process. Print wall seconds, CPU seconds and peak memory in MiB."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    run = CLIENTS[name](url, target)
    if count > 1:
        run()
    wall, cpu = 0.0, 0.0
    for _ in range(count):
        Path(target).unlink(missing_ok=True)
        began, used = time.perf_counter(), time.process_time()
        run()
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - used
    print(wall / count, cpu / count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


@contextlib.contextmanager
def server(*command):
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def scratch(folder, size):
    path = folder / "scratch"
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def compare(title, names, url, folder, size, rounds, count=1, core=-1):
    """Run the clients in turns, and print the medians."""
    results = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            scratch(folder, size)
            command = [sys.executable, __file__, "--measure", name, url, str(folder / "target"), str(count), str(core)]
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[name].append([float(number) for number in line.split()])
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
        folder, source = Path(name), Path(name, "source")
        for which in options.which:
            size = {"fast": FAST_MIB << 20, "slow": SLOW_MIB << 20, "small": SMALL_KIB << 10}[which]
            size = options.size << 20 if options.size else size
            with source.open("wb") as file:
                for _ in range(-(-size // (1 << 20))):
                    file.write(os.urandom(min(size, 1 << 20)))
            with server(HERE / "origin.py", source) as url:
                big = ["ours", "minio_fsync", "boto3_download_file"]
                if which == "fast":
                    compare(f"{size >> 20} MiB, one core", big, url, folder, size, options.rounds, core=0)
                elif which == "slow":
                    with server(HERE.parent / "tests" / "support" / "fault_proxy.py", url, RATE, LATENCY) as link:
                        compare(f"{size >> 20} MiB at 20 MB/s, 40 ms", big, link, folder, size, options.rounds)
                else:
                    small = ["ours", "get_object_fsync", "minio_fsync", "boto3_download_file"]
                    compare("64 KiB", small, url, folder, size, options.rounds, SMALL_COUNT)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:5], int(sys.argv[5]), int(sys.argv[6]))
    else:
        main()
