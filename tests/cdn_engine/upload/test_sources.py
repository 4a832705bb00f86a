"""What can be uploaded: bytes, paths, files and streams, and what happens when a source changes or cannot be read."""

import errno
import gc
import gzip
import io
import mmap
import os
import sys
import threading
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from payloads import PART, payload_of, sha256
from scripted_server import answering, dripping, resetting

from cdn_manager import ObjectChangedError

pytestmark = pytest.mark.portable

SMALL_PARTS = TransferConfig(multipart_threshold=64 << 10, multipart_chunksize=64 << 10)


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
    """The least that a stream can be: short reads, and no other method."""

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
    "Path": Path,
    "buffered-file": lambda path: path.open("rb"),
    "raw-file": lambda path: path.open("rb", buffering=0),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "gzip": gzip_of,
    "pipe": pipe_of,
    "read-method-only": OnlyRead,
}


@pytest.mark.parametrize("open_source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("size", [4, PART + 4], ids=["one-request", "several-parts"])
def test_every_kind_of_source_is_uploaded_in_full(server, publisher, folder, open_source, size):
    payload = payload_of(size)
    path = folder / "payload"
    path.write_bytes(payload)
    result = publisher.store("bucket", "key", open_source(path))
    requests = [request for request in server.requests if request.method == "PUT"]
    requests.sort(key=lambda request: int(request.query.get("partNumber", "0")[0]))
    assert b"".join(request.body for request in requests) == payload
    assert len(requests) == (1 if size == 4 else 2)
    assert result.sha256 == sha256(payload)


def test_bytes_io_can_be_written_to_after_its_upload(server, publisher):
    payload = io.BytesIO(b"headerpayload")
    payload.seek(6)
    publisher.store("bucket", "key", payload)
    assert server.requests[0].body == b"payload"
    assert payload.read() == b""
    payload.write(b"more than before")


def test_file_is_uploaded_from_its_current_position_and_stays_open(server, publisher, folder):
    Path("payload").write_bytes(b"headerpayload")
    with open("payload", "rb") as file:
        file.seek(6)
        publisher.store("bucket", "key", file)
        assert not file.closed
    assert server.requests[0].body == b"payload"


def test_file_given_by_path_is_closed_after_the_upload(publisher, folder):
    Path("payload").write_bytes(b"payload")
    publisher.store("bucket", "key", "payload")
    gc.collect()
    opened = {os.readlink(link) for link in Path("/proc/self/fd").glob("*") if link.exists()}
    assert str(folder / "payload") not in opened


@pytest.mark.parametrize("source", [3, None, io.StringIO("text"), object()], ids=lambda source: type(source).__name__)
def test_source_that_holds_no_bytes_is_a_type_error(publisher, source):
    with pytest.raises(TypeError):
        publisher.store("bucket", "key", source)


def test_non_blocking_stream_without_data_is_not_stored_as_an_empty_object(server, publisher):
    class NoDataYet(io.RawIOBase):
        def readinto(self, buffer):
            return None if buffer else 0

    with pytest.raises(BlockingIOError):
        publisher.store("bucket", "key", NoDataYet())
    assert server.requests == []


def test_memoryview_with_gaps_is_a_type_error(publisher):
    with pytest.raises(TypeError, match="gaps"):
        publisher.store("bucket", "key", memoryview(b"payload")[::2])


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
def test_stream_that_does_not_fit_on_the_disk_is_not_stored(server, publisher):
    import resource

    class Stream(io.RawIOBase):
        left = 12 << 20

        def readinto(self, buffer):
            count = min(len(buffer), self.left)
            self.left -= count
            return count

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (11 << 20, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            publisher.store("bucket", "key", Stream())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert server.requests == []


class Changing(io.BytesIO):
    """A file whose last byte changes whenever it has been read to the end."""

    def readinto(self, buffer):
        count = super().readinto(buffer)
        if not count:
            self.getbuffer()[-1] += 1
        return count


class Shrinking(io.BytesIO):
    """A file that loses its last byte whenever it has been read to the end."""

    def readinto(self, buffer):
        count = super().readinto(buffer)
        if not count:
            self.truncate(len(self.getvalue()) - 1)
        return count


class Growing(io.BytesIO):
    """A file that grows by a byte on every seek."""

    def seek(self, offset, whence=os.SEEK_SET):
        super().seek(0, os.SEEK_END)
        self.write(b"x")
        return super().seek(offset, whence)


@pytest.mark.parametrize("kind", [Changing, Shrinking, Growing])
@pytest.mark.parametrize("size", [10, PART + 1], ids=["one-request", "several-parts"])
def test_source_that_changes_between_the_two_passes_is_not_stored(server, publisher, kind, size):
    with pytest.raises(ObjectChangedError):
        publisher.store("bucket", "key", kind(bytes(size)))
    assert not {"PutObject", "CompleteMultipartUpload"} & set(server.operations)
    assert server.operations.count("AbortMultipartUpload") == server.operations.count("CreateMultipartUpload")


@pytest.mark.parametrize("kind", [Changing, Shrinking, Growing])
def test_source_that_changes_while_it_is_streamed_is_not_stored(server, publisher_at, kind):
    size = (8 << 20) + 1
    publisher = publisher_at(server.url, transfer_config=TransferConfig(multipart_threshold=size))
    with pytest.raises(ObjectChangedError):
        publisher.store("bucket", "key", kind(bytes(size)))
    assert all(request.received < size for request in server.requests)
    assert server.operations in ([], ["PutObject"])


def test_source_that_cannot_be_read_again_while_it_is_streamed_raises_its_own_error(server, publisher_at):
    class Failing(io.BytesIO):
        reads = 0

        def readinto(self, buffer):
            self.reads += 1
            if self.reads > 25:
                raise OSError(errno.EIO, "Input/output error")
            return super().readinto(buffer)

    large = TransferConfig(multipart_threshold=64 << 20)
    with pytest.raises(OSError, match="Input/output error"):
        publisher_at(server.url, transfer_config=large).store("bucket", "key", Failing(bytes(16 << 20)))
    assert server.operations in ([], ["PutObject"])


def test_streamed_file_is_sent_again_from_its_beginning(server, publisher_at, folder):
    payload = payload_of(9 << 20)
    Path("payload").write_bytes(b"header" + payload)
    server.fault("PutObject", resetting(after=1 << 20), answering(503))
    large = TransferConfig(multipart_threshold=64 << 20)
    with open("payload", "rb") as file:
        file.seek(6)
        result = publisher_at(server.url, transfer_config=large).store("bucket", "key", file)
    assert server.requests[-1].body == payload
    assert server.operations == ["PutObject"] * 3
    assert result.sha256 == sha256(payload)


@pytest.fixture
def no_garbage_collection():
    """Keep the collector from hiding that a reference cycle still holds the payload."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("size", [10, 200_000], ids=["one-request", "several-parts"])
def test_mapped_file_can_be_closed_while_the_error_is_being_handled(server, publisher_at, folder, size):
    server.fault("PutObject", answering(403))
    server.fault("UploadPart", *[answering(403)] * 4)
    Path("payload").write_bytes(payload_of(size))
    publisher = publisher_at(server.url, transfer_config=SMALL_PARTS)
    with open("payload", "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            publisher.store("bucket", "key", mapped)
        except ClientError:
            mapped.close()
    assert mapped.closed


@pytest.mark.usefixtures("no_garbage_collection")
def test_mapped_file_can_be_closed_when_one_part_failed_while_another_was_being_sent(
    server, publisher, once_parts_arrive, folder
):
    server.fault("UploadPart", once_parts_arrive(2, answering(403)), dripping())
    Path("payload").write_bytes(bytes(2 * PART))
    with open("payload", "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            publisher.store("bucket", "key", mapped)
        except ClientError:
            mapped.close()
    assert mapped.closed


# A digest that the caller gives


@pytest.mark.parametrize("size", [4, PART + 4], ids=["one-request", "several-parts"])
def test_source_that_is_not_the_one_whose_digest_is_given_is_not_sent(server, publisher, size):
    with pytest.raises(ObjectChangedError, match="nothing was stored"):
        publisher.store("bucket", "key", payload_of(size), sha256=sha256(b"another"))
    assert server.requests == []


def test_source_whose_digest_is_given_is_sent(server, publisher):
    payload = payload_of(4)
    assert publisher.store("bucket", "key", payload, sha256=sha256(payload).upper()).sha256 == sha256(payload)


def test_digest_that_is_none_is_refused(server, publisher):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        publisher.store("bucket", "key", b"x", sha256="abc")
    assert server.requests == []
