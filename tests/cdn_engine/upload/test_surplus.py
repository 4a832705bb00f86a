"""Threads, descriptors and connections that cannot be had: the upload goes on with those that can."""

import os
import sys
import threading

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from payloads import PART, size_id
from scripted_server import answering, resetting, stalling

from cdn_manager import CDNError

PARTS = TransferConfig(multipart_threshold=1, multipart_chunksize=1 << 20, max_concurrency=4)
PATIENT = Config(connect_timeout=600, read_timeout=600)  # a connection that is never answered is not given up by itself
SOON = 60.0  # seconds; the uploads here take about one

SURPLUS = {
    "reset": resetting(),
    "reset-within-the-body": resetting(after=1000),
    "unanswered": stalling(),
    "unanswered-after-the-body": stalling(after=1 << 20),
    "503": answering(503, "SlowDown"),
    "503-for-ten-minutes": answering(503, "SlowDown", [("Retry-After", "600")]),
    "503-for-a-day": answering(503, "SlowDown", [("Retry-After", "86400")]),
    "503-for-ever": answering(503, "SlowDown", [("Retry-After", "9" * 20)]),
}


def taking(most, otherwise):
    """An action for all parts: take this many at a time, once another one has been met ``otherwise``."""
    taken, lock, surplus = set(), threading.Lock(), threading.Event()

    def act(exchange):
        with lock:
            if len(taken) < most:
                taken.add(exchange)
        if exchange not in taken:
            surplus.set()
            return otherwise(exchange)
        while not surplus.wait(0.01) and not exchange.server.ended.is_set():
            pass
        answer = exchange.carry_out()
        taken.remove(exchange)
        return exchange.answer(*answer)

    return act


def refuse_threads(monkeypatch):
    """Let the system have no thread for uploads."""
    start = threading.Thread.start

    def start_others(thread):
        if thread.name.startswith("cdn-upload"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_others)


def stored(server):
    """Return what the parts that were answered add up to."""
    parts = {request.query["partNumber"][0]: request.body for request in server.requests if request.received >= 1 << 20}
    return b"".join(parts[number] for number in sorted(parts, key=int))


@pytest.mark.portable
@pytest.mark.parametrize("connections", [1, 2])
@pytest.mark.parametrize("otherwise", SURPLUS.values(), ids=SURPLUS)
def test_store_that_takes_fewer_connections_gets_the_object_over_these(
    server, publisher_at, folder, monkeypatch, connections, otherwise
):
    monkeypatch.setattr("cdn_engine.upload.parts._SILENCE", 0.2)
    payload = os.urandom(8 << 20)
    (folder / "payload").write_bytes(payload)
    server.fault("UploadPart", *[taking(connections, otherwise)] * 1000)
    publisher = publisher_at(server.url, config=PATIENT, transfer_config=PARTS, deadline=SOON)
    counts = []
    publisher.store("bucket", "key", folder / "payload", progress=counts.append)
    assert stored(server) == payload
    assert sum(counts) == len(payload)


@pytest.mark.portable
def test_connection_that_is_given_up_does_not_end_what_another_one_carries(server, publisher_at, monkeypatch):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 1)
    server.fault("UploadPart", *[taking(1, answering(503, "SlowDown"))] * 1000)
    publisher_at(server.url, transfer_config=PARTS, deadline=SOON).store("bucket", "key", bytes(8 << 20))
    assert len(stored(server)) == 8 << 20


@pytest.mark.portable
@pytest.mark.usefixtures("long_silence")
def test_retry_after_binds_the_connection_that_was_told_so(server, publisher_at, once_parts_arrive):
    told, all_told, asked = [], threading.Event(), []

    def tell(exchange):
        told.append(exchange.request.connection)
        if len(told) == 3:
            all_told.set()
        answering(503, "SlowDown", [("Retry-After", "600")])(exchange)

    def carry_the_first(exchange):
        all_told.wait(SOON)
        exchange.answer_as_usual()

    def carry_the_second(exchange):
        server.ended.wait(1.5)  # in which the usual delays would bring several of the others back
        asked.append(server.operations.count("UploadPart"))
        exchange.answer_as_usual()

    server.fault("UploadPart", carry_the_first, *[once_parts_arrive(4, tell)] * 3, carry_the_second)
    publisher_at(server.url, transfer_config=PARTS, deadline=SOON).store("bucket", "key", bytes(8 << 20))
    assert asked == [5]


@pytest.mark.portable
def test_store_that_takes_no_part_ends_the_upload(server, publisher_at, monkeypatch, upload_threads):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 3)
    server.fault("UploadPart", *[answering(503, "SlowDown")] * 1000)
    with pytest.raises(ClientError, match="SlowDown"):
        publisher_at(server.url, transfer_config=PARTS, deadline=SOON).store("bucket", "key", bytes(8 << 20))
    assert server.operations.count("UploadPart") <= 4 * 3
    assert server.operations[-1] == "AbortMultipartUpload"
    assert upload_threads() == []


@pytest.mark.portable
@pytest.mark.parametrize("allowed", [1, 2])
def test_upload_goes_on_with_the_threads_it_gets(server, publisher_at, upload_threads, monkeypatch, allowed):
    start = threading.Thread.start

    def limited_start(thread):
        if thread.name == "cdn-upload" and len(upload_threads()) >= allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited_start)
    publisher_at(server.url, transfer_config=PARTS).store("bucket", "key", bytes(8 << 20))
    assert server.operations.count("UploadPart") == 8


@pytest.mark.portable
def test_upload_without_a_single_thread_says_so(server, publisher, monkeypatch):
    refuse_threads(monkeypatch)
    with pytest.raises(CDNError, match="bucket/key: the system has no thread"):
        publisher.store("bucket", "key", bytes(2 * PART))
    assert server.requests == []


@pytest.mark.portable
@pytest.mark.parametrize("size", [0, 1, PART], ids=size_id)
def test_payload_of_one_request_needs_no_thread(server, publisher, monkeypatch, size):
    refuse_threads(monkeypatch)
    publisher.store("bucket", "key", bytes(size))
    assert server.operations == ["PutObject"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on descriptors")
def test_upload_goes_on_with_the_descriptors_it_gets(store, publisher_at, bucket, admin):
    import resource

    payload = os.urandom(4 * PART)
    publisher = publisher_at(store.url)
    publisher.store(bucket, "warm", b"")  # what is loaded once, and one connection
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = {int(name) for name in os.listdir("/proc/self/fd")}
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(in_use), hard))
    fillers = []
    try:
        while True:  # the numbers below that are free
            fillers.append(os.dup(0))
    except OSError:
        pass
    try:
        publisher.store(bucket, "key", payload)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload
