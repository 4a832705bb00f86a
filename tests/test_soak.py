"""The download's promises at full count, with a table of figures at the end: ``make soak`` runs these."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import threading

import fault_proxy as faults
import pytest
from boto3.s3.transfer import TransferConfig
from fault_proxy import Proxy
from local_store import READER, WRITER
from scripted_server import ScriptedServer
from test_download import origin_of, payload_of, put, run_killed, start_child
from test_faults import IMPATIENT, ONCE, PART, PARTS, SIZE, flip, interrupt, is_whole, overwrite_during_download

from cdn_errors import IntegrityError
from cdn_manager import CDNCredentials, CDNManager

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

@pytest.fixture
def link(store):
    with Proxy(store.url, rate=16 << 20) as proxy:
        yield proxy


@pytest.fixture
def manager(link, folder):
    with CDNManager(CDNCredentials(link.url, *READER), IMPATIENT, PARTS, deadline=60) as made:
        yield made


def test_thirty_kills(store, admin, bucket, folder, record_property):
    size, speed, rng = 256 << 20, 8 << 20, random.Random(30)
    payload = b"".join(payload_of(size // 8, seed) for seed in range(8))  # what one call can make is less
    digest = put(admin, bucket, "object", payload)

    def wait(child):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(rng.uniform(0.0, 1.6))

    with Proxy(store.url, link=speed) as proxy:
        kills = run_killed(proxy, bucket, folder, payload, 30, wait)
        sent, bound = proxy.bytes_sent, size + kills * 1.5 * speed
    found = hashlib.sha256((folder / bucket / "object").read_bytes()).hexdigest()
    record_property("killed: SIGKILLs, SHA-256 right", f"{kills}, {found == digest}")
    record_property("killed: MiB sent, bound", f"{sent / 2**20:.1f}, {bound / 2**20:.1f}")
    assert kills == 30
    assert found == digest
    assert sent < bound


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_thousand_interrupts(direction, folder, record_property):
    """At whatever moment Ctrl-C comes, the call ends, and no thread stays."""
    size, rng = 40 << 20, random.Random(direction)
    with open("source", "wb") as file:
        file.write(payload_of(size))
    payload = bytes(size)
    interrupted = 0
    with (
        origin_of("source") as origin,
        ScriptedServer(keep_bodies=False) as sink,
        CDNManager(CDNCredentials(origin, *READER)) as reader,
        CDNManager(CDNCredentials(sink.url, "", "", *WRITER)) as writer,
    ):
        for number in range(1000):
            press = threading.Timer(rng.uniform(0.0, 0.06), os.kill, (os.getpid(), signal.SIGINT))
            try:
                press.start()
                if direction == "up":
                    writer.store("bucket", "key", payload)
                else:
                    reader.fetch("bucket", f"key-{number % 7}")
                press.join()
            except KeyboardInterrupt:
                interrupted += 1
            press.join()
            assert [thread for thread in threading.enumerate() if thread.name.startswith("cdn-")] == []
    assert interrupted > 900
    record_property(f"interrupted: {direction}, of 1000", f"{interrupted}")


def test_every_fault_ten_times(admin, bucket, link, manager, folder, record_property):
    put(admin, bucket, "object", payload_of(SIZE))
    for name in ONCE:
        for seed in range(10):
            rng = random.Random(f"{name} {seed}")
            link.inject(ONCE[name](rng.randrange(1, PART)))
            manager.fetch(bucket, "object")
            assert is_whole(folder, bucket, "object")
            (folder / bucket / "object").unlink()
            link.faults.clear()
    record_property("faulted: downloads, all whole", f"{10 * len(ONCE)}")


def test_fifty_changes(admin, bucket, link, manager, folder, record_property):
    ends = {"new": 0, "old": 0, "error": 0}
    for number in range(50):
        rng = random.Random(number)
        _, old, new = overwrite_during_download(admin, link, manager, bucket, rng, ignored=number % 2)
        final = folder / bucket / "changing"
        if final.exists():
            content = final.read_bytes()
            assert content in (old, new)
            ends["new" if content == new else "old"] += 1
            final.unlink()
        else:
            ends["error"] += 1
    record_property("changed: 50 objects ended as", str(ends))


def test_two_hundred_flipped_bits(admin, bucket, link, manager, folder, record_property):
    put(admin, bucket, "object", payload_of(SIZE))
    rng = random.Random(200)
    for _ in range(100):
        link.rate = None
        link.inject(faults.flipped_bit(rng.randrange(SIZE)))
        with pytest.raises(IntegrityError):
            manager.fetch(bucket, "object")
        link.faults.clear()
    for number in range(100):
        interrupt(manager, bucket, 2 * PART)
        (name,) = (folder / bucket).glob(".cdn-*.journal" if number % 2 else ".cdn-*.part")
        flip(name, rng.randrange(name.stat().st_size if number % 2 else PART))
        try:
            manager.fetch(bucket, "object")
        except IntegrityError:
            assert number % 2 == 0
            assert list((folder / bucket).iterdir()) == []
            manager.fetch(bucket, "object")
        assert is_whole(folder, bucket, "object")
        (folder / bucket / "object").unlink()
    record_property("corrupted: bits flipped, all found", "200")


def test_eight_processes_five_times(store, admin, bucket, folder, record_property):
    size = 64 << 20
    payload = payload_of(size)
    put(admin, bucket, "object", payload)
    sent = []
    for _ in range(5):
        with Proxy(store.url) as proxy:
            children = [start_child(proxy.url, bucket, "object", folder) for _ in range(8)]
            for child in children:
                child.communicate()
            assert [child.returncode for child in children] == [0] * 8
            sent.append(proxy.bytes_sent)
        assert (folder / bucket / "object").read_bytes() == payload
        (folder / bucket / "object").unlink()
    record_property("raced: 8 processes, times the size sent", f"{max(sent) / size:.2f}")
    assert max(sent) < 1.5 * size


def test_the_memory_of_four_gibibytes(folder, record_property):
    size = 4 << 30
    with open("source", "wb") as file:
        file.truncate(size)
    with origin_of("source") as url:
        out, _ = start_child(url, "bucket", "object", folder, "--memory").communicate()
    record_property("memory: MiB above the baseline for 4 GiB", f"{int(out.split()[-1]) / 2**20:.1f}")
    assert (folder / "bucket" / "object").stat().st_size == size
    assert 0 < int(out.split()[-1]) < 64 << 20


def test_a_store_that_restarts_in_the_middle(store, admin, bucket, link, folder, record_property):
    put(admin, bucket, "object", payload_of(SIZE))
    link.inject(faults.then(store.restart, PART // 2, when=lambda _: len(link.gets) == 2))
    with CDNManager(CDNCredentials(link.url, *READER), IMPATIENT, TransferConfig(multipart_chunksize=PART)) as manager:
        manager.fetch(bucket, "object")
    assert is_whole(folder, bucket, "object")
    record_property("faulted: store killed and restarted", "whole")
