"""Faults, changes and corruption at full count, with a table of figures at the end."""

import random

import fault_proxy as faults
import pytest
from downloads import IMPATIENT, PARTS, interrupt, overwrite_during_download, start_child
from fault_proxy import Proxy
from local_store import READER
from objects import PART, SAMPLE_SIZE, flip_bit, is_whole, origin_of, payload_of, put
from transient_faults import TRANSIENT_FAULTS

from cdn_manager import CDNCredentials, CDNManager, IntegrityError

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture
def link(store):
    with Proxy(store.url, rate=16 << 20) as proxy:
        yield proxy


@pytest.fixture
def manager(link, folder):
    with CDNManager(CDNCredentials(link.url, *READER), IMPATIENT, PARTS, deadline=600) as made:
        yield made


def test_every_transient_fault_ten_times(admin, bucket, link, manager, folder, record_property):
    put(admin, bucket, "object", payload_of(SAMPLE_SIZE))
    for name, make_fault in TRANSIENT_FAULTS.items():
        for seed in range(10):
            rng = random.Random(f"{name} {seed}")
            link.inject(make_fault(rng.randrange(1, PART)))
            manager.fetch(bucket, "object")
            assert is_whole(folder / bucket / "object")
            (folder / bucket / "object").unlink()
            link.faults.clear()
    record_property("faulted: downloads, all whole", f"{10 * len(TRANSIENT_FAULTS)}")


def test_fifty_objects_replaced_during_the_download(admin, bucket, link, manager, folder, record_property):
    ends = {"new": 0, "old": 0, "error": 0}
    for number in range(50):
        rng = random.Random(number)
        _, old, new = overwrite_during_download(admin, link, manager, bucket, rng, if_match_ignored=number % 2)
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
    put(admin, bucket, "object", payload_of(SAMPLE_SIZE))
    rng = random.Random(200)
    for _ in range(100):
        link.rate = None
        link.inject(faults.flipped_bit(rng.randrange(SAMPLE_SIZE)))
        with pytest.raises(IntegrityError):
            manager.fetch(bucket, "object")
        link.faults.clear()
    for number in range(100):
        interrupt(manager, bucket, "object", 2 * PART)
        (path,) = (folder / bucket).glob(".cdn-*.journal" if number % 2 else ".cdn-*.part")
        flip_bit(path, rng.randrange(path.stat().st_size if number % 2 else PART))
        try:
            manager.fetch(bucket, "object")
        except IntegrityError:
            assert number % 2 == 0
            assert list((folder / bucket).iterdir()) == []
            manager.fetch(bucket, "object")
        assert is_whole(folder / bucket / "object")
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


def test_four_gibibytes_take_little_memory(folder, record_property):
    size = 4 << 30
    with open("source", "wb") as file:
        file.truncate(size)
    with origin_of("source") as url:
        out, _ = start_child(url, "bucket", "object", folder, "--memory").communicate()
    record_property("memory: MiB above the baseline for 4 GiB", f"{int(out.split()[-1]) / 2**20:.1f}")
    assert (folder / "bucket" / "object").stat().st_size == size
    assert 0 < int(out.split()[-1]) < 64 << 20


def test_store_restarts_during_the_download(store, admin, bucket, link, manager, folder, record_property):
    put(admin, bucket, "object", payload_of(SAMPLE_SIZE))
    link.inject(faults.then(store.restart, PART // 2, when=lambda _: len(link.gets) == 2))
    manager.fetch(bucket, "object")
    assert link.faults == []
    assert is_whole(folder / bucket / "object")
    record_property("faulted: store killed and restarted", "whole")
