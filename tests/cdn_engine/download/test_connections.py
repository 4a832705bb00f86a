"""How many connections and how much bandwidth downloads use."""

import concurrent.futures
import threading
import time
from pathlib import Path

import fault_proxy as faults
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from fault_proxy import Proxy
from link import Link
from local_store import READER
from objects import PART, payload_of, put

from cdn_engine.budget import CONNECTIONS
from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.usefixtures("folder")


def manager_at(url, **options):
    return CDNManager(CDNCredentials(url, *READER), **options)


class Gate:
    """Holds bodies back until so many connections ask for one at the same time."""

    def __init__(self, connections):
        self.most = 0
        self._waiting = 0
        self._wanted = connections
        self._enough = threading.Condition()

    def fault(self):
        def body(_, blocks):
            self.enter()
            yield from blocks

        return faults.Fault(body=body, times=None)

    def enter(self):
        with self._enough:
            self._waiting += 1
            self.most = max(self.most, self._waiting)
            self._enough.notify_all()
            self._enough.wait_for(lambda: self.most >= self._wanted, 100)
            self._waiting -= 1


def test_more_connections_are_opened_where_each_is_slow(store, admin, bucket, folder):
    payload = payload_of(32 << 20)
    put(admin, bucket, "object", payload)
    with Link(store.url, rate=2e6) as link, manager_at(link.url) as manager:
        manager.fetch(bucket, "object")
        assert link.connections > CONNECTIONS / 2
        assert link.bytes_sent < 1.05 * len(payload)
    assert (folder / bucket / "object").read_bytes() == payload


def test_object_of_one_part_gets_more_connections_where_each_is_slow(store, admin, bucket, folder):
    payload = payload_of(4 << 20)
    put(admin, bucket, "object", payload)
    with Link(store.url, rate=0.3e6) as link, manager_at(link.url) as manager:
        manager.fetch(bucket, "object")
        assert link.connections > 2
        assert link.bytes_sent < 1.1 * len(payload)  # with the heads of the answers
    assert (folder / bucket / "object").read_bytes() == payload


def test_one_connection_is_enough_where_it_is_fast(store, admin, bucket):
    put(admin, bucket, "object", payload_of(24 << 20))
    with Link(store.url) as link, manager_at(link.url) as manager:
        manager.fetch(bucket, "object")
        assert link.connections == 1 or link.record.elapsed(time.monotonic()) > 1.0  # a machine that is slow itself


def test_silent_connection_loses_its_range_to_the_others(store, admin, bucket, folder):
    payload = payload_of(48 << 20)
    put(admin, bucket, "object", payload)
    began = time.monotonic()
    with (
        Link(store.url, rate=4e6, silent=(2, 500_000)) as link,
        manager_at(link.url, config=Config(read_timeout=600)) as manager,
    ):
        manager.fetch(bucket, "object")
    assert time.monotonic() - began < 300  # and not the read timeout
    assert (folder / bucket / "object").read_bytes() == payload


def test_callers_number_of_connections_binds_from_the_first_second(store, admin, bucket):
    put(admin, bucket, "object", payload_of(24 * PART))
    exactly = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=7)
    with Proxy(store.url) as proxy, manager_at(proxy.url, transfer_config=exactly) as manager:
        gate = Gate(7)
        proxy.inject(faults.Fault(), gate.fault())  # after the first answer, which tells the size
        manager.fetch(bucket, "object")
        assert gate.most == 7
        assert proxy.connections == 7


def test_callers_single_connection_is_one(store, admin, bucket):
    put(admin, bucket, "object", payload_of(6 * PART))
    one = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
    with Proxy(store.url, rate=8 << 20) as proxy, manager_at(proxy.url, transfer_config=one) as manager:
        manager.fetch(bucket, "object")
        assert (proxy.connections, len(proxy.gets)) == (1, 6)


@pytest.mark.parametrize("downloads", [3, 40])
def test_downloads_of_a_process_share_its_connections(downloads, store, admin, bucket):
    put(admin, bucket, "object", payload_of(6 << 20))
    with (
        Link(store.url, rate=0.5e6 if downloads == 3 else 2e6) as link,
        manager_at(link.url) as manager,
        concurrent.futures.ThreadPoolExecutor(downloads) as pool,
    ):
        list(pool.map(lambda number: manager.fetch(bucket, "object", path=f"copy-{number}"), range(downloads)))
        at_once = max(link.record.statistics()["open"])
        assert at_once <= max(CONNECTIONS, downloads) + 1  # one that is being closed may still count
        assert at_once > min(downloads - 1, CONNECTIONS)
    assert all(Path(f"copy-{number}").stat().st_size == 6 << 20 for number in range(downloads))


def test_bandwidth_can_be_limited(store, admin, bucket):
    put(admin, bucket, "object", payload_of(2 * PART))
    limited = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_bandwidth=2 * PART)
    began = time.monotonic()
    with manager_at(store.url, transfer_config=limited) as manager:
        manager.fetch(bucket, "object")
    assert time.monotonic() - began > 0.7
