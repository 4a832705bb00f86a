"""Uploads over connections that break, to stores that refuse, stall, lose answers or die."""

import os
import signal
import sys
import threading
import time

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from local_store import WRITER
from scripted_server import (
    ScriptedServer,
    answering,
    answering_at_once,
    dripping,
    losing_the_answer,
    refusing_unread,
    resetting,
    stalling,
    taking_half,
)

import cdn_request
import cdn_threads
import cdn_upload
from cdn_errors import DeadlineExceededError, ObjectExistsError, OutcomeUnknownError
from cdn_manager import CDNCredentials, CDNManager

PART = 8 << 20
IMPATIENT = Config(connect_timeout=1, read_timeout=1)
ERROR_IN_200 = answering(200, body=b"<Error><Code>InternalError</Code><Message>changed my mind</Message></Error>")
NO_ETAG = answering(200, body=b"")


@pytest.fixture
def server():
    """A store that keeps nothing."""
    with ScriptedServer(window=64 << 10) as running:
        yield running


@pytest.fixture
def proxy(store):
    """A way to the real store on which faults lie."""
    with ScriptedServer(upstream=store.url, window=64 << 10) as running:
        yield running


def publisher_at(url, **settings):
    return CDNManager(CDNCredentials(url, "", "", *WRITER), **settings)


def assert_nothing_is_unfinished(admin, bucket):
    assert admin.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def assert_no_thread_is_left():
    assert [thread for thread in threading.enumerate() if thread.name.startswith("cdn-upload")] == []


# Faults that pass

FAULTS = {
    "reset before the body": resetting(),
    "reset in the body": resetting(after=1 << 20),
    "500": answering(500, "InternalError"),
    "503": answering(503, "SlowDown"),
    "429": answering(429, "Throttling"),
    "answered early by 503": refusing_unread(503, "SlowDown", reset=True),
    "no ETag": NO_ETAG,
    "error in a 200": ERROR_IN_200,
    "stall in the body": stalling(after=1 << 20),
    "no answer": stalling(after=PART),
    "answered when half of the body was there": taking_half,
}


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_is_overcome(server, operation, fault):
    payload = os.urandom(PART if operation == "PutObject" else PART + 1)
    server.fault(operation, fault)
    counts = []
    with publisher_at(server.url, config=IMPATIENT) as publisher:
        publisher.store("bucket", "key", payload, progress=counts.append)
    assert server.operations.count(operation) > 1
    assert payload[:PART] in [request.body for request in server.requests]
    assert sum(counts) == len(payload)
    assert "AbortMultipartUpload" not in server.operations


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "CompleteMultipartUpload"])
def test_a_real_store_has_the_object_after_one_fault_upon_another(proxy, bucket, admin, operation):
    payload = os.urandom(PART if operation == "PutObject" else PART + 1)
    proxy.fault(operation, resetting(after=1 << 20), answering(503), stalling(after=1 << 20))
    with publisher_at(proxy.url, config=IMPATIENT) as publisher:
        publisher.store(bucket, "key", payload)
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload
    assert_nothing_is_unfinished(admin, bucket)


def test_a_file_survives_faults_in_its_parts(proxy, bucket, admin, folder):
    payload = os.urandom(3 * PART)
    (folder / "payload").write_bytes(payload)
    proxy.fault("UploadPart", resetting(after=1 << 20), answering(503), None, losing_the_answer)
    with publisher_at(proxy.url) as publisher:
        publisher.store(bucket, "key", folder / "payload")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload


@pytest.mark.portable
def test_what_is_sent_again_is_taken_back_from_the_progress(server):
    server.fault("PutObject", answering(503))
    counts = []
    with publisher_at(server.url) as publisher:
        result = publisher.store("bucket", "key", bytes(PART), progress=counts.append)
    assert sum(counts) == PART
    assert min(counts) < 0
    assert result.transferred == 2 * PART


def test_the_server_may_restart_in_between(store, bucket, admin):
    payload = os.urandom(3 * PART)
    restart = threading.Thread(target=store.restart)

    def progress(count):
        if restart.ident is None:
            restart.start()

    paced = TransferConfig(max_bandwidth=16 << 20)
    with publisher_at(store.url, transfer_config=paced) as publisher:
        publisher.store(bucket, "key", payload, progress=progress)
    restart.join()
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload
    assert_nothing_is_unfinished(admin, bucket)


# Refusals


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("refusal", [answering(403, "AccessDenied"), answering(400, "InvalidPart")], ids=["403", "400"])
def test_a_refusal_ends_the_upload_and_nothing_is_left(proxy, bucket, admin, operation, refusal):
    proxy.fault(operation, *[refusal] * 6)
    with publisher_at(proxy.url) as publisher, pytest.raises(ClientError, match=operation):
        publisher.store(bucket, "key", bytes(3 * PART))
    assert_nothing_is_unfinished(admin, bucket)
    assert_no_thread_is_left()


@pytest.mark.portable
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("size", [1, 1 << 20, PART, 2 * PART])
def test_a_refusal_that_takes_no_body_is_heard(server, size, reset):
    for operation in ("PutObject", "CreateMultipartUpload"):
        server.fault(operation, *[refusing_unread(403, reset=reset)] * 9)
    with publisher_at(server.url) as publisher, pytest.raises(ClientError, match="AccessDenied"):
        publisher.store("bucket", "key", bytes(size))


@pytest.mark.portable
def test_a_refusal_that_only_resets_is_heard_by_a_request_without_a_body(server):
    server.fault("PutObject", resetting(), resetting(after=1000))
    server.fault("CreateMultipartUpload", answering(403, "AccessDenied"))
    with publisher_at(server.url) as publisher, pytest.raises(ClientError, match="AccessDenied"):
        publisher.store("bucket", "key", bytes(PART))
    assert server.operations == ["PutObject", "PutObject", "CreateMultipartUpload"]


def test_a_payload_that_breaks_twice_arrives_by_parts(proxy, bucket, admin, folder):
    payload = os.urandom(1 << 20)
    (folder / "payload").write_bytes(payload)
    proxy.fault("PutObject", resetting(), resetting(after=1000))
    with publisher_at(proxy.url) as publisher:
        publisher.store(bucket, "key", folder / "payload")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload


@pytest.mark.portable
@pytest.mark.parametrize("size", [0, 1, PART + 1])
def test_a_store_that_never_answers_well_ends_it_at_the_deadline_with_the_reason(server, log_lines, size):
    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, *[answering(503, "SlowDown")] * 99)
    began = time.monotonic()
    with publisher_at(server.url, deadline=1.0) as publisher:
        assert publisher.upload_bytes("bucket", "key", bytes(size)) is False
    assert time.monotonic() - began < 5  # all attempts would take a minute
    assert any("did not end in time" in line and "503 SlowDown" in line for line in log_lines())
    assert ("AbortMultipartUpload" in server.operations) == (size > PART)


@pytest.mark.portable
@pytest.mark.parametrize("size", [PART, 3 * PART])
def test_the_deadline_holds_while_bytes_flow(server, size):
    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, *[dripping()] * 6)
    with publisher_at(server.url, deadline=0.5) as publisher, pytest.raises(DeadlineExceededError):
        publisher.store("bucket", "key", bytes(size))
    assert "CompleteMultipartUpload" not in server.operations
    assert_no_thread_is_left()


@pytest.mark.portable
@pytest.mark.parametrize("answer", [NO_ETAG, ERROR_IN_200], ids=["no ETag", "error in a 200"])
@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "CompleteMultipartUpload"])
def test_a_200_without_proof_is_never_success(server, log_lines, operation, answer):
    server.fault(operation, *[answer] * 99)
    with publisher_at(server.url, deadline=1.5) as publisher:
        assert publisher.upload_bytes("bucket", "key", bytes(1 if operation == "PutObject" else PART + 1)) is False
    assert any("carries no ETag" in line or "changed my mind" in line for line in log_lines())


@pytest.mark.portable
def test_retries_end_when_nothing_gets_through_for_too_long(server, monkeypatch):
    monkeypatch.setattr(cdn_upload, "_PATIENCE", 0.5)
    server.fault("PutObject", *[answering(503, "SlowDown")] * 9)
    with publisher_at(server.url) as publisher, pytest.raises(ClientError, match="SlowDown"):
        publisher.store("bucket", "key", b"payload")
    assert 1 < len(server.operations) < 4


@pytest.mark.portable
def test_a_connection_that_breaks_twice_is_given_up_for_parts_whatever_happens_in_between(server):
    server.fault("PutObject", resetting(), answering(503, "SlowDown"), resetting())
    server.fault("CreateMultipartUpload", answering(403, "AccessDenied"))
    with publisher_at(server.url) as publisher, pytest.raises(ClientError, match="AccessDenied"):
        publisher.store("bucket", "key", b"payload")


@pytest.mark.portable
@pytest.mark.parametrize(("slow", "largest"), [(60.0, 256 << 10), (0.0, 16 << 10)])
def test_a_slow_connection_gets_smaller_pieces(server, monkeypatch, slow, largest):
    monkeypatch.setattr(cdn_upload, "_SLOW_PIECE", slow)
    counts = []
    with publisher_at(server.url) as publisher:
        publisher.store("bucket", "key", bytes(1 << 20), progress=counts.append)
    assert max(counts) == largest


# The status of another answer


@pytest.mark.portable
def test_the_status_of_one_put_is_not_taken_for_the_next(server):
    server.fault("PutObject", answering_at_once(200, [("ETag", '"empty"')]), answering(403, body=b"", close=True))
    with publisher_at(server.url) as publisher:
        publisher.store("bucket", "key", b"")
        with pytest.raises(ClientError, match="403"):
            publisher.store("bucket", "key", b"payload")
    assert [request.connection for request in server.requests] == [1, 1]


# Lost answers


@pytest.mark.portable
def test_a_put_whose_answer_was_lost_is_made_again(server):
    server.fault("PutObject", losing_the_answer)
    with publisher_at(server.url) as publisher:
        publisher.store("bucket", "key", b"payload")
    assert server.operations == ["PutObject", "PutObject"]


@pytest.mark.parametrize("size", [0, 1, PART])
def test_a_conditional_put_whose_answer_was_lost_has_an_unknown_outcome(proxy, bucket, admin, size):
    proxy.fault("PutObject", losing_the_answer)
    with publisher_at(proxy.url) as publisher, pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher.store(bucket, "key", bytes(size), overwrite=False)
    assert admin.head_object(Bucket=bucket, Key="key")["ContentLength"] == size


@pytest.mark.portable
def test_a_conditional_put_whose_body_did_not_arrive_has_a_known_outcome(server):
    server.fault("PutObject", resetting(after=1000), answering(412, "PreconditionFailed"))
    with publisher_at(server.url) as publisher, pytest.raises(ObjectExistsError):
        publisher.store("bucket", "key", bytes(PART), overwrite=False)


@pytest.mark.portable
def test_a_conditional_put_that_never_left_has_a_known_outcome(server):
    def fail_once(**_):
        events.unregister("before-send.s3", fail_once)
        raise EndpointConnectionError(endpoint_url=server.url)

    server.fault("PutObject", answering(412, "PreconditionFailed"))
    with publisher_at(server.url) as publisher:
        events = publisher.upload_client.meta.events
        events.register_first("before-send.s3", fail_once)
        with pytest.raises(ObjectExistsError):
            publisher.store("bucket", "key", b"", overwrite=False)


@pytest.mark.portable
def test_a_conditional_put_that_a_busy_store_turned_away_has_a_known_outcome(server):
    server.fault("PutObject", answering(503, "SlowDown"), answering(412, "PreconditionFailed"))
    with publisher_at(server.url) as publisher, pytest.raises(ObjectExistsError):
        publisher.store("bucket", "key", b"payload", overwrite=False)


@pytest.mark.portable
@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_a_conditional_put_that_failed_behind_a_proxy_has_an_unknown_outcome(server, status):
    server.fault("PutObject", answering(status, body=b"upstream"), answering(412, "PreconditionFailed"))
    with publisher_at(server.url) as publisher, pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher.store("bucket", "key", b"payload", overwrite=False)


@pytest.mark.portable
@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
@pytest.mark.parametrize("then", [answering(503, "SlowDown"), answering(403, "AccessDenied")], ids=["503", "403"])
def test_a_lost_answer_keeps_the_outcome_unknown_whatever_comes_then(server, monkeypatch, operation, then):
    monkeypatch.setattr(cdn_request, "_ATTEMPTS", 3)
    server.fault(operation, losing_the_answer, *[then] * 9)
    size = 1 if operation == "PutObject" else PART + 1
    with publisher_at(server.url) as publisher, pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher.store("bucket", "key", bytes(size), overwrite=False)


@pytest.mark.portable
@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("then", [answering(404, "NoSuchUpload"), answering(412, "PreconditionFailed")], ids=[404, 412])
def test_a_complete_whose_answer_was_lost_has_an_unknown_outcome(server, overwrite, then):
    server.fault("CompleteMultipartUpload", losing_the_answer, then)
    with publisher_at(server.url) as publisher, pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher.store("bucket", "key", bytes(PART + 1), overwrite=overwrite)


@pytest.mark.portable
def test_a_complete_that_is_never_answered_has_an_unknown_outcome(server):
    server.fault("CompleteMultipartUpload", *[losing_the_answer] * 99)
    with publisher_at(server.url, deadline=0.7) as publisher, pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher.store("bucket", "key", bytes(PART + 1))


@pytest.mark.portable
def test_a_complete_that_finds_no_upload_at_first_is_no_unknown_outcome(server):
    server.fault("CompleteMultipartUpload", answering(404, "NoSuchUpload"))
    with publisher_at(server.url) as publisher, pytest.raises(ClientError, match="NoSuchUpload"):
        publisher.store("bucket", "key", bytes(PART + 1))


# The abort


@pytest.mark.portable
def test_an_upload_that_cannot_be_aborted_is_named_in_the_log(server, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", answering(403, "AccessDenied"))
    with publisher_at(server.url) as publisher, pytest.raises(ClientError, match="UploadPart"):
        publisher.store("bucket", "key", bytes(PART + 1))
    assert any("the unfinished upload id of 'bucket'/'key' is left" in line for line in log_lines())


@pytest.mark.portable
def test_an_abort_is_tried_again(server, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", answering(503), resetting())
    with publisher_at(server.url) as publisher, pytest.raises(ClientError, match="UploadPart"):
        publisher.store("bucket", "key", bytes(PART + 1))
    assert server.operations.count("AbortMultipartUpload") == 3
    assert log_lines() == []


@pytest.mark.portable
def test_no_part_begins_after_the_abort(server, monkeypatch):
    workers, aborted = [], threading.Event()

    def interrupted_join(threads):
        workers.extend(threads)
        raise KeyboardInterrupt

    def refuse_when_both_are_there(exchange):
        while server.operations.count("UploadPart") < 2:
            server.ended.wait(0.001)
        answering(403)(exchange)

    def wait_for_the_abort(exchange):
        aborted.wait()
        exchange.answer_as_usual()

    monkeypatch.setattr(cdn_threads, "join", interrupted_join)
    server.fault("UploadPart", refuse_when_both_are_there, wait_for_the_abort)
    two = TransferConfig(multipart_threshold=1, multipart_chunksize=1000, max_concurrency=2)
    with publisher_at(server.url, transfer_config=two) as publisher, pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(8000))
    assert server.operations.count("AbortMultipartUpload") == 1
    aborted.set()
    for worker in workers:
        worker.join()
    assert server.operations.count("UploadPart") == 2


# Ctrl-C


@pytest.fixture
def interrupting():
    """An action: press Ctrl-C while the body is on its way, and note when."""
    if sys.platform == "win32":
        pytest.skip("a process cannot press Ctrl-C for itself")

    def act(exchange):
        for _ in exchange.read_body(100_000):
            pass
        act.at = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        dripping()(exchange)

    return act


@pytest.mark.portable
@pytest.mark.parametrize("size", [PART, 4 * PART])
def test_ctrl_c_ends_an_upload_within_a_second_and_leaves_nothing(server, interrupting, size):
    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, interrupting, *[dripping()] * 9)
    with publisher_at(server.url) as publisher, pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(size))
    assert time.monotonic() - interrupting.at < 1
    assert_no_thread_is_left()
    assert "CompleteMultipartUpload" not in server.operations
    assert ("AbortMultipartUpload" in server.operations) == (size > PART)


@pytest.mark.portable
def test_ctrl_c_while_a_thread_is_being_started_leaves_none(server, monkeypatch):
    start = threading.Thread.start

    def interrupted_start(thread):
        start(thread)
        if thread.name == "cdn-upload":
            raise KeyboardInterrupt

    server.fault("UploadPart", *[dripping()] * 9)
    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    with publisher_at(server.url) as publisher, pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(4 * PART))
    assert_no_thread_is_left()


@pytest.mark.portable
@pytest.mark.skipif(sys.platform == "win32", reason="timers of POSIX")
def test_ctrl_c_ends_the_reading_of_a_large_file(server, folder):
    with open("payload", "wb") as file:
        file.truncate(4 << 30)
    signal.signal(signal.SIGPROF, signal.default_int_handler)
    with publisher_at(server.url) as publisher:
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 0.2)
        with pytest.raises(KeyboardInterrupt):
            publisher.store("bucket", "key", "payload")
    assert time.process_time() - began < 1.0  # all of it takes more
    assert server.requests == []


@pytest.mark.portable
def test_ctrl_c_ends_the_abort_too_and_the_upload_is_named_in_the_log(server, interrupting, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", interrupting)
    with publisher_at(server.url) as publisher, pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(2 * PART))
    assert any("the unfinished upload id of 'bucket'/'key' is left" in line for line in log_lines())


# What a TransferConfig binds


@pytest.mark.portable
def test_a_transfer_config_binds(server):
    config = TransferConfig(multipart_threshold=1 << 20, multipart_chunksize=1 << 20, max_concurrency=2)
    with publisher_at(server.url, transfer_config=config) as publisher:
        publisher.store("bucket", "key", bytes((4 << 20) + 1))
    parts = [request for request in server.requests if request.operation == "UploadPart"]
    assert sorted(len(request.body) for request in parts) == [1, *[1 << 20] * 4]
    assert len({request.connection for request in parts}) <= 2


@pytest.mark.portable
def test_a_transfer_config_binds_for_a_file_as_well(server, folder):
    with open("payload", "wb") as file:
        file.truncate(96 << 20)
    config = TransferConfig(multipart_chunksize=32 << 20, max_concurrency=3)
    server.fault("UploadPart", *[waiting_for_three(server)] * 3)
    with publisher_at(server.url, transfer_config=config) as publisher:
        publisher.store("bucket", "key", "payload")
    assert len({request.connection for request in server.requests if request.operation == "UploadPart"}) == 3


def waiting_for_three(server):
    def act(exchange):
        while server.operations.count("UploadPart") < 3:
            server.ended.wait(0.001)
        exchange.answer_as_usual()

    return act


@pytest.mark.portable
def test_a_file_of_large_parts_goes_over_fewer_connections(server, folder, monkeypatch):
    monkeypatch.setattr(cdn_upload, "_PARTS_LIMIT", 3)
    with open("payload", "wb") as file:
        file.truncate(96 << 20)
    with publisher_at(server.url) as publisher:
        publisher.store("bucket", "key", "payload")
    parts = [request for request in server.requests if request.operation == "UploadPart"]
    assert [len(request.body) for request in parts] == [32 << 20] * 3
    assert len({request.connection for request in parts}) == 1


@pytest.mark.portable
def test_max_bandwidth_binds(server):
    began = time.monotonic()
    with publisher_at(server.url, transfer_config=TransferConfig(max_bandwidth=4 << 20)) as publisher:
        publisher.store("bucket", "key", bytes(4 << 20))
    assert time.monotonic() - began > 0.5
