"""Stores with Object Lock, which refuse a body without ``Content-MD5``."""

import base64
import hashlib

import pytest
from boto3.s3.transfer import TransferConfig
from payloads import PART, payload_of
from scripted_server import answering

pytestmark = pytest.mark.portable

REQUIRED = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put {} requests with Object Lock parameters"
STREAMED = TransferConfig(multipart_threshold=64 << 20)


def error(code, message):
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


REFUSALS = {
    "AWS": error("InvalidRequest", REQUIRED.format("Object")),
    "AWS-part": error("InvalidRequest", REQUIRED.format("Part")),
    "MinIO": error("MissingContentMD5", "Missing required header for this request: Content-Md5."),
}


def with_md5(request):
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    return request.headers.get("content-md5") == base64.b64encode(digest).decode()


@pytest.fixture
def locked(server):
    """A function that makes ``server`` refuse every body without a right ``Content-MD5`` with this answer."""

    def make(refusal):
        def act(exchange):
            result = exchange.carry_out()
            exchange.answer(*(result if with_md5(exchange.request) else (400, [], refusal)))

        server.fault("PutObject", *[act] * 99)
        server.fault("UploadPart", *[act] * 99)

    return make


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_put_is_repeated_with_content_md5_where_the_store_asks_for_it(server, publisher, locked, refusal):
    locked(refusal)
    payload, counts = payload_of(PART), []
    result = publisher.store("bucket", "key", payload, progress=counts.append)
    assert [with_md5(request) for request in server.requests] == [False, True]
    assert sum(counts) == len(payload)
    assert result.transferred == 2 * len(payload)


def test_every_further_part_carries_content_md5(server, publisher_at, locked):
    locked(REFUSALS["AWS-part"])
    one = TransferConfig(multipart_chunksize=PART, use_threads=False)
    publisher_at(server.url, transfer_config=one).store("bucket", "key", payload_of(3 * PART))
    parts = [request for request in server.requests if request.operation == "UploadPart"]
    assert [with_md5(request) for request in parts] == [False, True, True, True]


def test_file_that_is_streamed_carries_content_md5(server, publisher_at, locked, folder):
    locked(REFUSALS["AWS"])
    payload = payload_of(2 * PART)
    (folder / "payload").write_bytes(payload)
    publisher_at(server.url, transfer_config=STREAMED).store("bucket", "key", folder / "payload")
    assert [request.body == payload for request in server.requests] == [True, True]
    assert [with_md5(request) for request in server.requests] == [False, True]


def test_no_content_md5_is_sent_unasked(server, publisher):
    publisher.store("bucket", "key", bytes(PART + 1))
    assert not any("content-md5" in request.headers for request in server.requests)


def test_refusal_for_another_reason_is_not_repeated(server, publisher):
    server.fault("PutObject", answering(400, body=error("InvalidRequest", "the key is too long")))
    assert publisher.upload_bytes("bucket", "key", b"payload") is False
    assert server.operations == ["PutObject"]


def test_store_that_refuses_content_md5_as_well_is_asked_twice(server, publisher):
    server.fault("PutObject", *[answering(400, body=REFUSALS["AWS"])] * 9)
    assert publisher.upload_bytes("bucket", "key", b"payload") is False
    assert server.operations == ["PutObject", "PutObject"]


def test_object_lock_arguments_come_with_content_md5_at_once(server, publisher, folder):
    (folder / "payload").write_bytes(b"payload")
    with open("payload", "rb") as file:
        publisher.upload_client.upload_fileobj(
            file, "bucket", "key", ExtraArgs={"ObjectLockLegalHoldStatus": "ON"}
        )
    assert [with_md5(request) for request in server.requests] == [True]


def test_busy_store_is_asked_again_with_content_md5(server, publisher):
    server.fault("PutObject", answering(400, body=REFUSALS["AWS"]), answering(503, "SlowDown"))
    publisher.store("bucket", "key", b"payload")
    assert [with_md5(request) for request in server.requests] == [False, True, True]
