"""Kills and Ctrl-C at random moments, with a table of figures at the end."""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from downloads import run_killed, start_child
from fault_proxy import Proxy
from local_store import READER, WRITER
from objects import origin_of, payload_of, put, sha256_of
from scripted_server import ScriptedServer

from cdn_manager import CDNCredentials, CDNManager

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def test_thirty_kills(store, admin, bucket, folder, record_property):
    size, speed, rng = 256 << 20, 4 << 20, random.Random(30)
    payload = b"".join(payload_of(size // 8, seed) for seed in range(8))  # one call cannot make as many
    digest = put(admin, bucket, "object", payload)

    def wait(child):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(rng.uniform(0.0, 4.0))

    with Proxy(store.url, link=speed) as proxy:
        kills = len(run_killed(proxy, bucket, "object", digest, folder, 30, wait))
        proxy.link = None
        child = start_child(proxy.url, bucket, "object", folder)
        child.communicate()
        # The journal is written once a second. Without one, the kills would cost two seconds each.
        sent, bound = proxy.bytes_sent, size + kills * 1.5 * speed
    found = sha256_of(folder / bucket / "object")
    record_property("killed: SIGKILLs, SHA-256 right", f"{kills}, {found == digest}")
    record_property("killed: MiB sent, bound", f"{sent / 2**20:.1f}, {bound / 2**20:.1f}")
    assert (child.returncode, kills) == (0, 30)
    assert found == digest
    assert sent < bound


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_thousand_interrupts(direction, folder, record_property):
    """Whenever Ctrl-C comes, the call ends and leaves no thread."""
    size, rng = 40 << 20, random.Random(direction)
    with open("source", "wb") as file:
        file.write(payload_of(size))
    payload = bytes(size)
    with (
        origin_of("source") as origin,
        ScriptedServer(keep_bodies=False) as sink,
        CDNManager(CDNCredentials(origin, *READER)) as reader,
        CDNManager(CDNCredentials(sink.url, "", "", *WRITER)) as writer,
    ):

        def transfer(number):
            began = time.monotonic()
            if direction == "up":
                writer.store("bucket", "key", payload)
            else:
                Path("bucket", f"key-{number % 7}").unlink(missing_ok=True)  # or it would be found unchanged
                reader.fetch("bucket", f"key-{number % 7}")
            return time.monotonic() - began

        undisturbed = min(transfer(number) for number in range(5))
        raised = interrupted = 0
        for number in range(1000):
            press = threading.Timer(rng.uniform(0.0, undisturbed), os.kill, (os.getpid(), signal.SIGINT))
            ended = False
            try:
                press.start()
                transfer(number)
                ended = True
                press.join()
            except KeyboardInterrupt:
                raised += 1
                interrupted += not ended
            press.join()
            assert [thread for thread in threading.enumerate() if thread.name.startswith("cdn-")] == []
    record_property(f"interrupted: {direction}, of 1000; Ctrl-C raised", f"{interrupted}, {raised}")
    assert raised > 900
    assert interrupted > 500  # the others came after the end of a transfer that resumed, or was faster than the first
