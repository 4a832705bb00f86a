"""How many connections and how much bandwidth a download uses."""

import time
from pathlib import Path

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from fault_proxy import Proxy
from local_store import READER
from objects import PART, origin_of, payload_of, put

from cdn_manager import CDNCredentials, CDNManager


def test_more_connections_are_opened_where_each_is_slow(store, admin, bucket, folder):
    payload = payload_of(64 << 20)  # enough for a second trial if a busy machine spoils the first
    put(admin, bucket, "object", payload)
    with Proxy(store.url, rate=8 << 20) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        manager.fetch(bucket, "object")
        assert proxy.connections > 2
    assert (folder / bucket / "object").read_bytes() == payload


def test_number_of_connections_can_be_limited(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(6 * PART))
    one = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
    with (
        Proxy(store.url, rate=8 << 20) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), transfer_config=one) as manager,
    ):
        manager.fetch(bucket, "object")
        assert (proxy.connections, len(proxy.gets)) == (1, 6)


def test_bandwidth_can_be_limited(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(2 * PART))
    limited = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_bandwidth=2 * PART)
    began = time.monotonic()
    with CDNManager(CDNCredentials(store.url, *READER), transfer_config=limited) as manager:
        manager.fetch(bucket, "object")
    assert time.monotonic() - began > 0.7


def test_pause_for_a_bandwidth_limit_is_not_a_stall(folder):
    Path("source").write_bytes(payload_of(3 << 19))
    limited = TransferConfig(max_bandwidth=1 << 18)  # a pause of two seconds after each read of 512 KiB
    with (
        origin_of("source") as url,
        Proxy(url) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), Config(read_timeout=0.9), limited) as manager,
    ):
        manager.fetch("bucket", "object")
        assert len(proxy.gets) == 1
