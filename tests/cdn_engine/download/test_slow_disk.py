"""A sync that takes long holds up neither progress, nor Ctrl-C, nor the deadline."""

import threading
import time

import pytest
from fault_proxy import Proxy
from local_store import READER
from objects import payload_of, put, unfinished_files

from cdn_engine import _disk
from cdn_manager import CDNCredentials, CDNManager, DeadlineExceededError

SIZE = 24 << 20
LONG = 100  # seconds; no test waits for it


class SlowDisk:
    """Syncs that begin and do not end until they are released.

    Attributes:
        syncing: Set as soon as a sync has begun.
        released: Set to let all syncs end.
    """

    def __init__(self):
        self.syncing = threading.Event()
        self.released = threading.Event()

    def sync(self, descriptor):
        self.syncing.set()
        assert self.released.wait(LONG)


@pytest.fixture
def disk(monkeypatch):
    slow = SlowDisk()
    monkeypatch.setattr(_disk, "sync", slow.sync)
    yield slow
    slow.released.set()


@pytest.fixture
def key(admin, bucket):
    put(admin, bucket, "for-slow-disks", payload_of(SIZE))
    return "for-slow-disks"


def fetch_until(reached, manager, bucket, key):
    """Download until ``reached()``. Return the seconds that it took to end after that."""
    moment = 0.0

    def progress(count):
        nonlocal moment
        if not moment and reached():
            moment = time.monotonic()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, key, progress=progress)
    return time.monotonic() - moment


def test_progress_goes_on_while_the_journal_is_synced(disk, store, bucket, key, folder):
    received_then, received = [], 0

    def progress(count):
        nonlocal received
        received += count
        if disk.syncing.is_set():
            received_then.append(received)
            if received_then[-1] > received_then[0]:
                disk.released.set()

    with Proxy(store.url, link=SIZE // 4) as link, CDNManager(CDNCredentials(link.url, *READER)) as manager:
        manager.fetch(bucket, key, progress=progress)
    assert received_then[-1] == SIZE


def test_ctrl_c_does_not_wait_for_a_sync(disk, store, bucket, key, folder):
    with Proxy(store.url, link=SIZE // 4) as link, CDNManager(CDNCredentials(link.url, *READER)) as manager:
        assert fetch_until(disk.syncing.is_set, manager, bucket, key) < 10
        disk.released.set()
        link.link = None
        # Waits for the thread that still saves what the first call has received.
        assert manager.fetch(bucket, key).resumed_from > 0
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)


def test_ctrl_c_during_the_last_sync_installs_nothing_and_keeps_everything(disk, store, bucket, key, folder):
    with CDNManager(CDNCredentials(store.url, *READER)) as manager:
        assert fetch_until(disk.syncing.is_set, manager, bucket, key) < 10
        assert not (folder / bucket / key).exists()
        disk.released.set()
        assert manager.fetch(bucket, key).resumed_from == SIZE
    assert unfinished_files(folder) == []


def test_deadline_does_not_wait_for_a_sync(disk, store, bucket, key, folder):
    began = time.monotonic()
    with CDNManager(CDNCredentials(store.url, *READER), deadline=3) as manager:
        with pytest.raises(DeadlineExceededError, match="the deadline passed"):
            manager.fetch(bucket, key)
        assert time.monotonic() - began < 30
        assert not (folder / bucket / key).exists()


def test_lock_is_held_until_the_disk_is_left_alone(disk, store, bucket, key, folder):
    with Proxy(store.url, link=SIZE // 4) as link, CDNManager(CDNCredentials(link.url, *READER)) as manager:
        fetch_until(disk.syncing.is_set, manager, bucket, key)
    with (
        CDNManager(CDNCredentials(store.url, *READER), deadline=1) as manager,
        pytest.raises(DeadlineExceededError, match="another process"),
    ):
        manager.fetch(bucket, key)
