"""Uploads over connections that break and to stores that fail for a while: what is retried, and for how long."""

import os
import threading
import time

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from payloads import PART, SMALLEST_PART, size_id
from scripted_server import (
    answering,
    dripping,
    losing_the_answer,
    refusing_unread,
    resetting,
    stalling,
    taking_half,
)

from cdn_manager import DeadlineExceededError

SHORT_TIMEOUTS = Config(connect_timeout=1, read_timeout=1)
ERROR_IN_200 = answering(200, body=b"<Error><Code>InternalError</Code><Message>changed my mind</Message></Error>")
NO_ETAG = answering(200, body=b"")

# Transient faults

FAULTS = {
    "reset-before-the-body": resetting(),
    "reset-within-the-body": resetting(after=1 << 20),
    "500": answering(500, "InternalError"),
    "503": answering(503, "SlowDown"),
    "429": answering(429, "Throttling"),
    "503-before-the-body-was-read": refusing_unread(503, "SlowDown", reset=True),
    "no-ETag": NO_ETAG,
    "error-in-a-200": ERROR_IN_200,
    "stall-within-the-body": stalling(after=1 << 20),
    "no-answer": stalling(after=PART),
    "200-after-half-of-the-body": taking_half,
}


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "UploadPart"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_request_is_retried_after_a_transient_fault(server, publisher_at, operation, fault):
    payload = os.urandom(PART if operation == "PutObject" else PART + 1)
    server.fault(operation, fault)
    counts = []
    publisher_at(server.url, config=SHORT_TIMEOUTS).store("bucket", "key", payload, progress=counts.append)
    assert server.operations.count(operation) > 1
    first = PART if operation == "PutObject" else SMALLEST_PART
    assert payload[:first] in [request.body for request in server.requests]
    assert sum(counts) == len(payload)
    assert "AbortMultipartUpload" not in server.operations


@pytest.mark.usefixtures("short_rest")
@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "CompleteMultipartUpload"])
def test_object_is_intact_after_several_faults_in_a_row(
    proxy, publisher_at, bucket, admin, unfinished_uploads, operation
):
    payload = os.urandom(PART if operation == "PutObject" else PART + 1)
    proxy.fault(operation, resetting(after=1 << 20), answering(503), resetting(after=1 << 20))
    publisher_at(proxy.url, config=SHORT_TIMEOUTS).store(bucket, "key", payload)
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload
    assert unfinished_uploads(bucket) == []


def test_file_is_intact_after_faults_in_its_parts(proxy, publisher_at, bucket, admin, folder):
    payload = os.urandom(3 * PART)
    (folder / "payload").write_bytes(payload)
    proxy.fault("UploadPart", resetting(after=1 << 20), answering(503), None, losing_the_answer)
    publisher_at(proxy.url).store(bucket, "key", folder / "payload")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload


@pytest.mark.portable
def test_progress_goes_back_by_what_has_to_be_sent_again(server, publisher):
    counts = []

    def refuse_once_reported(exchange):
        for _ in exchange.read_body():
            pass
        while sum(counts) < PART and not server.ended.wait(0.001):
            pass
        answering(503)(exchange)

    server.fault("PutObject", refuse_once_reported)
    result = publisher.store("bucket", "key", bytes(PART), progress=counts.append)
    assert sum(counts) == PART
    assert min(counts) < 0
    assert result.transferred == 2 * PART


def test_upload_survives_a_restart_of_the_store(store, publisher_at, bucket, admin, unfinished_uploads):
    payload = os.urandom(3 * PART)
    restart = threading.Thread(target=store.restart)

    def progress(count):
        if restart.ident is None:
            restart.start()

    slow = TransferConfig(max_bandwidth=16 << 20)
    publisher_at(store.url, transfer_config=slow).store(bucket, "key", payload, progress=progress)
    restart.join()
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload
    assert unfinished_uploads(bucket) == []


# A connection that breaks twice


@pytest.mark.portable
def test_put_that_breaks_twice_asks_for_the_refusal_with_a_request_without_a_body(server, publisher):
    server.fault("PutObject", resetting(), resetting(after=1000))
    server.fault("CreateMultipartUpload", answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        publisher.store("bucket", "key", bytes(PART))
    assert server.operations == ["PutObject", "PutObject", "CreateMultipartUpload"]


def test_payload_is_sent_in_parts_after_its_put_broke_twice(proxy, publisher_at, bucket, admin, folder):
    payload = os.urandom(1 << 20)
    (folder / "payload").write_bytes(payload)
    proxy.fault("PutObject", resetting(), resetting(after=1000))
    publisher_at(proxy.url).store(bucket, "key", folder / "payload")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload


@pytest.mark.portable
def test_put_that_breaks_twice_is_sent_in_parts_even_if_the_store_answered_in_between(server, publisher):
    server.fault("PutObject", resetting(), answering(503, "SlowDown"), resetting())
    server.fault("CreateMultipartUpload", answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        publisher.store("bucket", "key", b"payload")


# When retries end


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("refusal", [answering(403, "AccessDenied"), answering(400, "InvalidPart")], ids=["403", "400"])
def test_refused_request_ends_the_upload_and_leaves_nothing_unfinished(
    proxy, publisher_at, bucket, unfinished_uploads, upload_threads, operation, refusal
):
    proxy.fault(operation, *[refusal] * 6)
    with pytest.raises(ClientError, match=operation):
        publisher_at(proxy.url).store(bucket, "key", bytes(3 * PART))
    assert unfinished_uploads(bucket) == []
    assert upload_threads() == []


@pytest.mark.portable
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@pytest.mark.parametrize("size", [1, 1 << 20, PART, 2 * PART], ids=size_id)
def test_refusal_is_reported_by_a_store_that_does_not_read_the_body(server, publisher, size, reset):
    for operation in ("PutObject", "CreateMultipartUpload"):
        server.fault(operation, *[refusing_unread(403, reset=reset)] * 9)
    with pytest.raises(ClientError, match="AccessDenied"):
        publisher.store("bucket", "key", bytes(size))


@pytest.mark.portable
@pytest.mark.parametrize("answer", [NO_ETAG, ERROR_IN_200], ids=["no-ETag", "error-in-a-200"])
@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "CompleteMultipartUpload"])
def test_200_that_does_not_prove_success_is_a_failure(server, publisher_at, log_lines, operation, answer):
    server.fault(operation, *[answer] * 99)
    publisher = publisher_at(server.url, deadline=3.0)
    assert publisher.upload_bytes("bucket", "key", bytes(1 if operation == "PutObject" else PART + 1)) is False
    assert any("has no ETag" in line or "changed my mind" in line for line in log_lines())


@pytest.mark.portable
def test_retries_stop_when_nothing_gets_through_for_too_long(server, publisher, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.request._PATIENCE", 1.0)
    server.fault("PutObject", *[answering(503, "SlowDown")] * 9)
    with pytest.raises(ClientError, match="SlowDown"):
        publisher.store("bucket", "key", b"payload")
    assert 1 < len(server.operations) < 9  # nine attempts are the limit without it


@pytest.mark.portable
@pytest.mark.parametrize("size", [0, 1, PART + 1], ids=size_id)
def test_upload_ends_at_the_deadline_and_logs_the_last_failure(server, publisher_at, log_lines, size):
    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, *[answering(503, "SlowDown")] * 99)
    began = time.monotonic()
    assert publisher_at(server.url, deadline=2.0).upload_bytes("bucket", "key", bytes(size)) is False
    assert time.monotonic() - began < 30  # nine attempts would take a minute
    assert any("did not finish in time" in line and "503 SlowDown" in line for line in log_lines())
    assert ("AbortMultipartUpload" in server.operations) == (size > PART)


@pytest.mark.portable
@pytest.mark.parametrize("size", [PART, 3 * PART], ids=size_id)
def test_deadline_holds_while_bytes_are_flowing(server, publisher_at, upload_threads, size):
    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, *[dripping()] * 6)
    with pytest.raises(DeadlineExceededError):
        publisher_at(server.url, deadline=0.5).store("bucket", "key", bytes(size))
    assert "CompleteMultipartUpload" not in server.operations
    assert upload_threads() == []
