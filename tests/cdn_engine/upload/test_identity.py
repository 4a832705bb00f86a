"""Files that change while they are uploaded, and files that do not, although they might have."""

import os
import sys
import time
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from payloads import SMALLEST_PART, payload_of, sha256

from cdn_engine.upload import identity
from cdn_manager import ObjectChangedError

pytestmark = pytest.mark.portable

SIZE = 4 * SMALLEST_PART
ONE_CONNECTION = TransferConfig(multipart_chunksize=SMALLEST_PART, max_concurrency=1)
ONE_REQUEST = TransferConfig(multipart_threshold=SIZE)


def overwrite_the_last_byte(path):
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([payload_of(SIZE)[-1] ^ 1]))


def overwrite_and_restore_the_times(path):
    status = path.stat()
    overwrite_the_last_byte(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def truncate_and_restore_size_and_times(path):
    status = path.stat()
    os.truncate(path, SIZE // 2)
    os.truncate(path, SIZE)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def write_all_of_it_again(path):
    path.write_bytes(payload_of(SIZE, seed=1))


def append(path):
    with path.open("ab") as file:
        file.write(b"x")


def truncate(path):
    os.truncate(path, SIZE - 1)


CHANGES = [
    overwrite_the_last_byte, overwrite_and_restore_the_times, truncate_and_restore_size_and_times,
    write_all_of_it_again, append, truncate,
]  # fmt: skip


def store_while(change, server, publisher, path, progress=None):
    """Upload a file, and let it change when the store has its first bytes."""

    def act(exchange):
        for _ in exchange.read_body(100_000):
            pass
        change(path)
        exchange.answer_as_usual()

    for operation in ("UploadPart", "PutObject"):
        server.fault(operation, act)
    return publisher.store("bucket", "key", path, progress=progress)


@pytest.fixture(params=[ONE_CONNECTION, ONE_REQUEST], ids=["parts", "one-request"])
def slow_publisher(request, server, publisher_at):
    """A publisher with one connection, on which little is under way."""
    return publisher_at(server.url, transfer_config=request.param)


@pytest.fixture(params=["settled", "just-written"])
def path(request, settled, folder, monkeypatch):
    """A file, written long ago or so recently that its times do not show whether it changes."""
    path = settled(folder / "payload", payload_of(SIZE))
    if request.param == "just-written":
        monkeypatch.setattr(identity, "_SETTLED", 3600.0)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be changed")
@pytest.mark.parametrize("change", CHANGES)
def test_file_that_changes_while_it_is_sent_is_not_stored(server, slow_publisher, path, monkeypatch, change):
    monkeypatch.setattr(identity, "_SETTLED_WITHOUT_NANOSECONDS", 0.1)
    with pytest.raises(ObjectChangedError, match="bucket/key: "):
        store_while(change, server, slow_publisher, path)
    assert "CompleteMultipartUpload" not in server.operations
    assert all(request.received < SIZE for request in server.requests)


def rename(path):
    path.rename("renamed")


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be renamed")
@pytest.mark.parametrize("change", [rename, Path.unlink, lambda path: path.chmod(0o400), os.utime])
def test_file_whose_content_stays_the_same_is_stored(server, slow_publisher, path, monkeypatch, change):
    monkeypatch.setattr(identity, "_SETTLED_WITHOUT_NANOSECONDS", 0.1)
    digest = sha256(path.read_bytes())
    assert store_while(change, server, slow_publisher, path).sha256 == digest
    bodies = [request.body for request in server.requests if request.method == "PUT"]
    assert sha256(b"".join(bodies)) == digest


def test_ctrl_c_ends_the_wait_for_a_file_to_settle(server, publisher_at, folder, settled, monkeypatch):
    def progress(count):
        counts.append(count)
        if counts[-3:] == [0, 0, 0]:
            raise KeyboardInterrupt

    counts = []
    monkeypatch.setattr(identity, "_SETTLED_WITHOUT_NANOSECONDS", 3600.0)
    path = settled(folder / "payload", payload_of(SIZE))
    publisher = publisher_at(server.url, transfer_config=ONE_CONNECTION)
    with pytest.raises(KeyboardInterrupt):
        store_while(Path.unlink, server, publisher, path, progress=progress)
    assert server.operations[-1] == "AbortMultipartUpload"


# Which files are relied upon


@pytest.mark.parametrize(
    ("age", "nanoseconds", "is_settled"),
    [
        (0.0, 1, False), (0.03, 1, False), (0.1, 1, True), (-1.0, 1, False),
        (1.0, 0, False), (1.9, 0, False), (3.0, 0, True),
    ],
)
def test_file_is_settled_once_its_next_change_will_show(monkeypatch, age, nanoseconds, is_settled):
    changed_at = 1_700_000_000 * 10**9 + nanoseconds
    monkeypatch.setattr(time, "time_ns", lambda: changed_at + int(age * 1e9))

    class Status:
        st_mtime_ns = st_ctime_ns = changed_at

    assert identity._is_settled(Status) is is_settled


def test_only_plain_files_are_relied_upon(folder, settled):
    path = settled(folder / "payload", b"payload")
    for mode, is_watched in (("rb", True), ("r+b", False), ("ab", False)):
        with path.open(mode) as file:
            assert (identity.watch(file) is not None) is is_watched


def test_file_system_that_linux_does_not_name_is_not_relied_upon(folder, settled, monkeypatch):
    path = settled(folder / "payload", b"payload")
    monkeypatch.setattr(identity, "_DATED", frozenset())
    with path.open("rb") as file:
        assert identity.watch(file) is None


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads /proc")
@pytest.mark.parametrize("size", [SMALLEST_PART, SIZE], ids=["one-request", "parts"])
def test_path_is_read_twice_and_no_more(publisher, folder, settled, size):
    def read():
        return int(Path("/proc/self/io").read_text().split()[1])

    path = settled(folder / "payload", payload_of(size))
    publisher.store("bucket", "warm", b"")
    before = read()
    publisher.store("bucket", "key", path)
    assert 2 * size <= read() - before < 2.2 * size
