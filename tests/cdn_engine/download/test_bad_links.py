"""Downloads over connections that break, stall or cannot be opened."""

import random

import fault_proxy as faults
import pytest
from boto3.s3.transfer import TransferConfig
from downloads import OPAQUE, fetch_with_fault
from fault_proxy import Proxy
from local_store import READER
from objects import PART, SAMPLE_SIZE, is_whole, payload_of
from scripted_server import ScriptedServer
from transient_faults import BROKEN_CONNECTIONS

from cdn_manager import CDNCredentials, CDNManager


@pytest.mark.portable
def test_download_recovers_from_reset_truncation_and_503(moto_url, moto_bucket, moto_manager, folder):
    payload = payload_of(24 * PART)
    stored = moto_manager.store(moto_bucket, "object", payload)
    with Proxy(moto_url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        proxy.inject(faults.reset_after(PART), faults.truncated_after(PART), faults.refuses(503, code="SlowDown"))
        result = manager.fetch(moto_bucket, "object")
    assert (result.sha256, result.verified) == (stored.sha256, True)
    assert (folder / moto_bucket / "object").read_bytes() == payload


@pytest.mark.parametrize("key", ["with-digest", "without-digest"])
@pytest.mark.parametrize("fault", BROKEN_CONNECTIONS)
def test_download_recovers_from_a_broken_connection(fault, key, link, connect, samples, folder):
    rng = random.Random(f"{fault} {key}")
    result = fetch_with_fault(BROKEN_CONNECTIONS[fault], link, connect(), samples, key, rng)
    assert is_whole(folder / samples / key)
    assert result.verified_by == ("sha256" if key == "with-digest" else "md5")


def test_broken_body_resumes_at_its_last_byte(link, connect, samples):
    link.rate = None
    link.inject(*(faults.reset_after(300_000, when=lambda _: True) for _ in range(3)))
    one_part = TransferConfig(multipart_threshold=16 * PART, multipart_chunksize=16 * PART)
    result = connect(parts=one_part).fetch(samples, "with-digest")
    assert result.transferred == SAMPLE_SIZE
    # A reset discards the bytes that the system has received but not yet handed over.
    assert link.bytes_sent <= SAMPLE_SIZE + 3 * 300_000
    starts = [int(request.headers["range"].split("=")[1].split("-")[0]) for request in link.gets]
    assert starts == sorted(starts)


def test_first_retry_after_progress_does_not_wait(link, connect, samples, folder, monkeypatch):
    """On a link that breaks after so many bytes, again and again, the pauses would add up."""
    monkeypatch.setattr("cdn_engine.wire.retry.delay", lambda *_: 1000.0)
    link.inject(*(faults.reset_after(300_000) for _ in range(3)))
    connect(deadline=100).fetch(samples, "with-digest")
    assert is_whole(folder / samples / "with-digest")


def test_truncated_body_sends_no_byte_twice(link, connect, samples):
    link.inject(*(faults.truncated_after(300_000) for _ in range(3)))
    connect().fetch(samples, "with-digest")
    assert link.bytes_sent == SAMPLE_SIZE


def test_download_waits_for_a_store_that_is_down_for_a_while(link, connect, samples, folder):
    link.inject(faults.then(lambda: link.go_away(1.0), PART // 2, when=lambda _: len(link.gets) == 2))
    connect().fetch(samples, "with-digest")
    assert link.faults == []
    assert is_whole(folder / samples / "with-digest")


def test_bytes_that_came_with_the_head_are_not_lost_while_the_rest_is_waited_for(folder):
    """What waits gives up in the middle of a read, and others read on: the store then sends nothing twice."""
    content = payload_of(1 << 20)
    head = (
        f"HTTP/1.1 206 Partial Content\r\nETag: {OPAQUE}\r\nContent-Length: {len(content)}\r\n"
        f"Content-Range: bytes 0-{len(content) - 1}/{len(content)}\r\n\r\n"
    )

    def pausing(exchange):
        exchange.connection.sendall(head.encode() + content[:3000])
        exchange.server.ended.wait(1)  # longer than one request is waited for alone
        exchange.connection.sendall(content[3000:])

    with ScriptedServer() as server, CDNManager(CDNCredentials(server.url, *READER)) as manager:
        server.fault("GET", pausing)
        manager.fetch("bucket", "object", path="file")
        assert server.operations == ["GET"]
    assert (folder / "file").read_bytes() == content
