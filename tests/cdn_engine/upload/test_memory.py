"""The memory that an upload takes, measured in a process of its own."""

import ast
import subprocess
import sys
import textwrap

import pytest
from scripted_server import ScriptedServer, slow_until_parts

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

LIMIT = 64 << 20

MEASURE = """
    import os, sys, threading, time
    from boto3.s3.transfer import TransferConfig
    from cdn_manager import CDNCredentials, CDNManager

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def watch():
        while True:
            peak[0] = max(peak[0], resident())
            time.sleep(0.002)

    url, bucket, size, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    config = TransferConfig(multipart_threshold=int(sys.argv[5])) if sys.argv[5:] else None
    manager = CDNManager(CDNCredentials(url, "", "", "writer", "writer-secret"), transfer_config=config)
    manager.store(bucket, "warm", b"warm")
    source = path or bytes(bytearray(os.urandom(1 << 20)) * (size >> 20))
    peak = [0]
    baseline = resident()
    threading.Thread(target=watch, daemon=True).start()
    manager.store(bucket, "key", source)
    print(peak[0] - baseline)
"""


def peak_of_upload(url, bucket, size, path="", *threshold):
    """Return by how many bytes an upload makes a process grow."""
    command = [sys.executable, "-P", "-c", textwrap.dedent(MEASURE), url, bucket, *map(str, (size, path, *threshold))]
    return ast.literal_eval(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.mark.parametrize("size", [256 << 20, pytest.param(1 << 30, marks=pytest.mark.soak)], ids=["256MiB", "1GiB"])
def test_bytes_are_uploaded_without_a_second_copy(size, record_property):
    with ScriptedServer(keep_bodies=False) as server:
        grown = peak_of_upload(server.url, "bucket", size)
    record_property(f"memory: MiB beside {size >> 20} MiB of bytes", f"{grown / 2**20:.1f}")
    assert grown <= LIMIT


@pytest.mark.parametrize("size", [256 << 20, pytest.param(4 << 30, marks=pytest.mark.soak)], ids=["256MiB", "4GiB"])
def test_file_is_uploaded_without_being_read_into_memory(folder, size, record_property):
    path = folder / "payload"
    with path.open("wb") as file:
        file.truncate(size)
    with ScriptedServer(keep_bodies=False) as server:
        grown = peak_of_upload(server.url, "bucket", size, path)
    record_property(f"memory: MiB in all for a path of {size >> 20} MiB", f"{grown / 2**20:.1f}")
    assert grown <= LIMIT


def test_file_is_not_read_into_memory_when_all_connections_are_in_use(folder, record_property):
    path = folder / "payload"
    with path.open("wb") as file:
        file.truncate(256 << 20)
    with ScriptedServer(keep_bodies=False, window=64 << 10) as server:
        server.fault("UploadPart", *[slow_until_parts(16)] * 16)
        grown = peak_of_upload(server.url, "bucket", 256 << 20, path)
        assert len({request.connection for request in server.requests}) >= 16
    record_property("memory: MiB in all for a path over 16 connections", f"{grown / 2**20:.1f}")
    assert grown <= LIMIT / 4


def test_file_that_goes_in_one_request_is_not_read_into_memory(folder, record_property):
    path, size = folder / "payload", 600 << 20
    with path.open("wb") as file:
        file.truncate(size)
    with ScriptedServer(keep_bodies=False) as server:
        grown = peak_of_upload(server.url, "bucket", size, path, 1 << 30)
        assert server.operations == ["PutObject", "PutObject"]
    record_property(f"memory: MiB in all for one request of {size >> 20} MiB", f"{grown / 2**20:.1f}")
    assert grown <= LIMIT / 4
