"""The bytes and requests that an upload puts on the wire."""

import io
import socket

import pytest
from botocore.exceptions import ClientError
from local_store import READER, WRITER
from payloads import PART, payload_of, sha256, size_id
from scripted_server import ScriptedServer, answering, answering_at_once, stalling

from cdn_engine.upload.body import Body
from cdn_engine.upload.source import MemorySource
from cdn_engine.upload.state import State
from cdn_engine.wire.deadline import Deadline

SIZES = pytest.mark.parametrize("size", [0, 1, PART + 1], ids=size_id)


@pytest.mark.portable
@SIZES
def test_bodies_are_the_payload_without_any_framing(server, publisher, size):
    payload = payload_of(size)
    publisher.store("bucket", "a key/ü", payload)
    puts = [request for request in server.requests if request.method == "PUT"]
    assert b"".join(sorted((bytes(request.body) for request in puts), key=len, reverse=True)) == payload
    for request in server.requests:
        assert not {"expect", "transfer-encoding", "content-encoding", "x-amz-trailer"} & set(request.headers)
        assert not any(name.startswith(("x-amz-checksum", "x-amz-sdk-checksum")) for name in request.headers)
        assert b"aws-chunked" not in request.head
        assert len(request.body) == int(request.headers["content-length"])
        if request.method == "PUT":
            assert request.headers["x-amz-content-sha256"] == sha256(request.body)
        assert f"Credential={WRITER[0]}/" in request.headers["authorization"]
        assert READER[0].encode() not in request.head
        assert request.headers["host"] == server.url.removeprefix("http://")


@pytest.mark.portable
@SIZES
def test_first_request_carries_the_digest_as_metadata(server, publisher, size):
    payload = payload_of(size)
    publisher.store("bucket", "key", payload)
    assert server.requests[0].operation in ("PutObject", "CreateMultipartUpload")
    assert server.requests[0].headers["x-amz-meta-sha256"] == sha256(payload)


@pytest.mark.portable
def test_payload_of_one_part_takes_one_request(server, publisher):
    publisher.store("bucket", "key", bytes(PART))
    assert server.operations == ["PutObject"]


@pytest.mark.portable
def test_parts_are_sent_over_several_connections(server, publisher, once_parts_arrive):
    server.fault("UploadPart", *[once_parts_arrive(2)] * 2)
    publisher.store("bucket", "key", bytes(4 * PART))
    parts = [request for request in server.requests if request.operation == "UploadPart"]
    assert len({request.connection for request in parts}) > 1


@pytest.mark.portable
def test_upload_never_reads_from_the_store(server, publisher):
    publisher.store("bucket", "key", bytes(PART + 1))
    assert {request.method for request in server.requests} <= {"PUT", "POST"}


@pytest.mark.portable
def test_redirect_to_another_host_is_not_followed(server, publisher):
    with ScriptedServer() as other:
        server.fault("PutObject", answering(307, headers=[("Location", f"{other.url}/bucket/key")]))
        assert publisher.upload_bytes("bucket", "key", b"payload") is False
        assert other.requests == []


@pytest.mark.portable
def test_status_of_one_put_is_not_taken_for_the_next(server, publisher):
    # With ``Expect``, botocore would (botocore#3755).
    server.fault("PutObject", answering_at_once(200, [("ETag", '"empty"')]), answering(403, body=b"", close=True))
    publisher.store("bucket", "key", b"")
    with pytest.raises(ClientError, match="403"):
        publisher.store("bucket", "key", b"payload")
    assert [request.connection for request in server.requests] == [1, 1]


@pytest.mark.portable
@pytest.mark.parametrize(("slow", "largest"), [(60.0, 256 << 10), (0.0, 64 << 10)], ids=["fast-link", "slow-link"])
def test_slow_connection_gets_smaller_pieces(monkeypatch, slow, largest):
    monkeypatch.setattr("cdn_engine.upload.body._SLOW_PIECE", slow)
    body = Body(MemorySource(memoryview(bytes(1 << 20))), 0, 1 << 20, State("bucket/key", Deadline(None)))
    assert max(len(piece) for piece in body.pieces()) == largest


# ExtraArgs


def test_extra_args_of_boto3_are_passed_on(manager, bucket, admin):
    arguments = {"ContentType": "text/x-model", "Metadata": {"licence": "mit"}, "CacheControl": "no-cache"}
    manager.upload_client.upload_fileobj(io.BytesIO(b"weights"), bucket, "key", ExtraArgs=arguments)
    head = admin.head_object(Bucket=bucket, Key="key")
    assert head["ContentType"] == "text/x-model"
    assert head["CacheControl"] == "no-cache"
    assert head["Metadata"] == {"licence": "mit", "sha256": sha256(b"weights")}


@pytest.mark.portable
@pytest.mark.parametrize("name", ["ChecksumAlgorithm", "ContentMD5", "Nonsense"])
def test_extra_args_that_not_every_store_accepts_are_a_value_error(publisher, name):
    with pytest.raises(ValueError, match=name):
        publisher.upload_client.upload_fileobj(io.BytesIO(b""), "bucket", "key", ExtraArgs={name: "x"})


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system takes what it cannot send")
def test_bytes_that_cannot_be_sent_are_not_reported_as_sent(server, publisher):
    server.fault("PutObject", stalling())
    counts = []

    def progress(count):
        counts.append(count)
        if len(counts) > 1 and not count:  # nothing moves any more
            raise InterruptedError

    with pytest.raises(InterruptedError):
        publisher.store("bucket", "key", bytes(PART), progress=progress)
    assert 0 < sum(counts) < 1 << 20
