"""The abort of a multipart upload that has failed."""

import threading

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from payloads import PART
from scripted_server import answering, resetting

pytestmark = pytest.mark.portable


def test_failed_abort_logs_the_upload_id(server, publisher, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="UploadPart"):
        publisher.store("bucket", "key", bytes(PART + 1))
    assert any("the unfinished multipart upload 'id' of 'bucket'/'key' remains" in line for line in log_lines())


def test_abort_is_retried(server, publisher, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", answering(503), resetting())
    with pytest.raises(ClientError, match="UploadPart"):
        publisher.store("bucket", "key", bytes(PART + 1))
    assert server.operations.count("AbortMultipartUpload") == 3
    assert log_lines() == []


def test_no_part_is_started_after_the_abort(server, publisher_at, once_parts_arrive, monkeypatch):
    workers, aborted = [], threading.Event()

    def interrupted_join(threads):
        workers.extend(threads)
        raise KeyboardInterrupt

    def wait_for_the_abort(exchange):
        aborted.wait()
        exchange.answer_as_usual()

    monkeypatch.setattr("cdn_engine.threads.join", interrupted_join)
    server.fault("UploadPart", once_parts_arrive(2, answering(403)), wait_for_the_abort)
    two = TransferConfig(multipart_threshold=1, multipart_chunksize=1000, max_concurrency=2)
    with pytest.raises(KeyboardInterrupt):
        publisher_at(server.url, transfer_config=two).store("bucket", "key", bytes(8000))
    assert server.operations.count("AbortMultipartUpload") == 1
    aborted.set()
    for worker in workers:
        worker.join()
    assert server.operations.count("UploadPart") == 2
