"""The abort of a multipart upload that has failed."""

import time

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from payloads import PART
from scripted_server import answering, resetting, stalling

pytestmark = pytest.mark.portable


def test_failed_abort_logs_the_upload_id(server, publisher, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="UploadPart"):
        publisher.store("bucket", "key", bytes(PART + 1))
    assert any("bucket/key: the unfinished multipart upload 'id' remains" in line for line in log_lines())


def test_abort_is_retried(server, publisher, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", answering(503), resetting())
    with pytest.raises(ClientError, match="UploadPart"):
        publisher.store("bucket", "key", bytes(PART + 1))
    assert server.operations.count("AbortMultipartUpload") == 3
    assert log_lines() == []


def test_no_part_is_under_way_when_the_upload_is_aborted(server, publisher_at, once_parts_arrive, upload_threads):
    threads_at_the_abort = []

    def abort(exchange):
        threads_at_the_abort.extend(upload_threads())
        exchange.answer_as_usual()

    server.fault("UploadPart", once_parts_arrive(2, answering(403)), stalling())
    server.fault("AbortMultipartUpload", abort)
    two = TransferConfig(multipart_threshold=1, multipart_chunksize=1000, max_concurrency=2)
    with pytest.raises(ClientError, match="UploadPart"):
        publisher_at(server.url, transfer_config=two).store("bucket", "key", bytes(8000))
    assert server.operations.count("UploadPart") == 2
    assert server.operations[-1] == "AbortMultipartUpload"
    assert len(threads_at_the_abort) == 1  # the one that aborts


def test_abort_that_is_not_answered_is_given_up(server, publisher, log_lines, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.multipart._ABORT_PATIENCE", 0.5)
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", stalling())
    began = time.monotonic()
    with pytest.raises(ClientError, match="UploadPart"):
        publisher.store("bucket", "key", bytes(PART + 1))
    assert time.monotonic() - began < 20  # the read timeout is 30
    assert any("bucket/key: the unfinished multipart upload 'id' remains" in line for line in log_lines())
