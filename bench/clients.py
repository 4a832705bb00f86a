"""The clients that the download benchmarks compare, each measured in a process of its own.

A client is a function that takes the endpoint and the file to write, and returns the function to measure. All but boto3
and s5cmd, which do not, sync the file to disk.
"""

import contextlib
import functools
import http.client
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

KEYS = ("reader", "reader-secret")
SMALLEST_PART, LARGEST_PART = 8 << 20, 64 << 20
_BLOCK = 1 << 20
_PATIENCE = 20  # seconds


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


def s5cmd(url, target):
    program = shutil.which("s5cmd", path=sysconfig.get_path("scripts")) or "s5cmd"
    command = [program, "--endpoint-url", url, "--log", "error", "cp", "s3://bucket/object", target]
    pair = {"AWS_ACCESS_KEY_ID": KEYS[0], "AWS_SECRET_ACCESS_KEY": KEYS[1], "AWS_REGION": "us-east-1"}
    return lambda: subprocess.run(command, env={**os.environ, **pair}, check=True)


def fixed(connections, url, target):
    """A plain client with a fixed number of connections, which retries nothing."""
    place = urlsplit(url)

    def connect():
        return http.client.HTTPConnection(place.hostname, place.port, timeout=_PATIENCE)

    def work(parts, file, errors):
        buffer = memoryview(bytearray(_BLOCK))
        with contextlib.closing(connect()) as connection:
            try:
                while not errors:
                    _fetch_part(connection, *parts.get_nowait(), file, buffer)
            except queue.Empty:
                pass
            except Exception as error:
                errors.append(error)

    def run():
        with contextlib.closing(connect()) as connection:
            connection.request("HEAD", "/bucket/object")
            with connection.getresponse() as answer:
                size = int(answer.headers["Content-Length"])
        part = min(max(size // 16, SMALLEST_PART), LARGEST_PART, -(-size // connections))
        parts, errors = queue.SimpleQueue(), []
        for first in range(0, size, part):
            parts.put((first, min(first + part, size)))
        with open(target, "wb") as file:
            threads = [threading.Thread(target=work, args=(parts, file, errors)) for _ in range(connections)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os.fsync(file.fileno())
        if errors:
            raise errors[0]

    return run


def _fetch_part(connection, first, end, file, buffer):
    connection.request("GET", "/bucket/object", headers={"Range": f"bytes={first}-{end - 1}"})
    with connection.getresponse() as answer:
        if answer.status != 206:
            raise ConnectionError(f"status {answer.status}")
        while (count := answer.readinto(buffer)):
            os.pwrite(file.fileno(), buffer[:count], first)
            first += count
    if first < end:
        raise ConnectionError("the body is cut off")


def _sync(path):
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


CLIENTS = {
    call.__name__: call for call in (ours, minio_fsync, boto3_download_file, get_object_fsync, s5cmd)
} | {f"fixed_{count}": functools.partial(fixed, count) for count in (1, 8, 16)}  # fmt: skip


def run_client(name, url, target, count=1, core=-1, limit=None):
    """Run one client ``count`` times, in a process of its own.

    Args:
        name: One of ``CLIENTS``.
        url: The endpoint.
        target: The file to write.
        count: How often.
        core: The one processor to run on; -1 for any.
        limit: Seconds after which it is killed; None for no limit.

    Returns:
        Seconds, CPU seconds and peak memory in MiB.

    Raises:
        subprocess.TimeoutExpired, subprocess.CalledProcessError: It was killed, or failed.
    """
    command = [sys.executable, __file__, name, url, str(target), str(count), str(core)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return [float(number) for number in output.split()]


def main(name, url, target, count, core):
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


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
