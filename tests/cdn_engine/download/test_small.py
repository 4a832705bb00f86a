"""An object that one request brings: no lock file, no journal, one sync, and syncs that several files share."""

import fcntl
import functools
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fault_proxy import Proxy, reset_after, trickle_after
from local_store import READER
from objects import payload_of, put, unfinished_files

from cdn_engine import _disk
from cdn_engine.download import installer
from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target
from cdn_manager import CDNCredentials, CDNManager, IntegrityError

SIZE = 100_000
PATIENCE = 100  # seconds; no test waits for it


@pytest.fixture(scope="module")
def key(admin, bucket):
    put(admin, bucket, "small", payload_of(SIZE))
    return "small"


@pytest.fixture
def link(store):
    with Proxy(store.url) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def patience(request, monkeypatch):
    """On a busy machine too, a small object is whole in time."""
    if "slow_body" not in request.node.name:
        monkeypatch.setattr("cdn_engine.download.opening._LOOK", PATIENCE)


@pytest.fixture
def manager(link, folder):
    with CDNManager(CDNCredentials(link.url, *READER)) as made:
        yield made


class Disk:
    """Counts the syncs of files and of directories, and holds them up until it is released.

    Attributes:
        synced: The names of what was synced: ``file`` or ``directory``.
        syncing: Set as soon as a sync has begun.
        released: Set to let syncs go on.
        failing: How many syncs of files are to fail.
    """

    def __init__(self):
        self.synced = []
        self.syncing, self.released = threading.Event(), threading.Event()
        self.released.set()
        self.failing = 0

    def sync(self, usual, descriptor):
        self._begin(descriptor)
        usual(descriptor)

    def sync_all(self, usual, descriptors):
        for descriptor in descriptors:
            self._begin(descriptor)
        failures = usual(descriptors)
        count, self.failing = min(self.failing, len(descriptors)), max(0, self.failing - len(descriptors))
        return [OSError(5, "Input/output error")] * count + failures[count:]

    def _begin(self, descriptor):
        self.syncing.set()
        assert self.released.wait(PATIENCE)
        self.synced.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")


@pytest.fixture
def disk(monkeypatch):
    while installer._installer._runs:  # it may still have a file that an earlier test has left to it
        installer._installer.rest()
    counted = Disk()
    for name in ("sync", "sync_all"):
        monkeypatch.setattr(_disk, name, functools.partial(getattr(counted, name), getattr(_disk, name)))
    yield counted
    counted.released.set()


def whole_file_of(folder, bucket, key):
    """Return the file of ours that a small object is written to."""
    return folder / bucket / f"{Partial(Target.of(folder / bucket / key)).stem}.whole"


def test_small_object_takes_one_request_one_sync_and_no_file_beside_its_own(link, manager, bucket, key, folder, disk):
    (folder / bucket).mkdir()
    disk.released.clear()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(manager.fetch, bucket, key)
        assert disk.syncing.wait(PATIENCE)
        beside = list((folder / bucket).iterdir())
        disk.released.set()
        result = fetching.result()
    assert beside == [whole_file_of(folder, bucket, key)]
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)
    assert (result.verified, result.transferred, result.resumed_from) == (True, SIZE, 0)
    assert len(link.requests) == 1
    assert disk.synced == ["file", "directory"]
    assert unfinished_files(folder) == []


def test_small_object_starts_no_thread_but_the_one_that_installs(manager, bucket, key, monkeypatch):
    started, usual = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (started.append(thread.name), usual(thread)))
    for number in range(3):
        manager.fetch(bucket, key, path=f"copy-{number}")
    assert {name for name in started if name.startswith("cdn-")} <= {"cdn-install"}


def test_thread_that_installs_ends_before_a_fork(manager, bucket, key):
    manager.fetch(bucket, key)
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert "cdn-install" not in {thread.name for thread in threading.enumerate()}


def test_file_is_there_and_reported_only_when_it_is_on_the_disk(manager, bucket, key, folder, disk):
    disk.released.clear()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(manager.fetch, bucket, key)
        assert disk.syncing.wait(PATIENCE)
        assert not (folder / bucket / key).exists()
        assert not fetching.done()
        disk.released.set()
        fetching.result()
    assert disk.synced[-1] == "directory"


def fetch_together(manager, bucket, key, disk, count):
    """Download copies, of which all but the first wait for a sync together. Return their futures."""
    disk.released.clear()
    with ThreadPoolExecutor(count) as pool:
        fetching = [pool.submit(manager.fetch, bucket, key, path="copies/first")]
        assert disk.syncing.wait(PATIENCE)
        fetching += [pool.submit(manager.fetch, bucket, key, path=f"copies/{number}") for number in range(1, count)]
        while installer._installer._files.qsize() < count - 1:
            threading.Event().wait(0.01)
        disk.released.set()
    return fetching


def test_files_that_wait_together_share_the_sync_of_their_directory(manager, bucket, key, folder, disk):
    (folder / "copies").mkdir()
    fetching = fetch_together(manager, bucket, key, disk, 9)
    assert [future.result().size for future in fetching] == [SIZE] * 9
    assert len(list((folder / "copies").iterdir())) == 9
    assert disk.synced == ["file", "directory", *["file"] * 8, "directory"]


def test_failed_sync_concerns_its_file_only(manager, bucket, key, folder, disk):
    (folder / "copies").mkdir()
    disk.failing = 1
    first, *others = fetch_together(manager, bucket, key, disk, 4)
    with pytest.raises(OSError, match="what was written may be lost"):
        first.result()
    assert [future.result().size for future in others] == [SIZE] * 3
    assert sorted(path.name for path in (folder / "copies").iterdir()) == ["1", "2", "3"]


def test_interrupted_before_it_is_installed_it_leaves_nothing(manager, bucket, key, folder, disk):
    disk.released.clear()

    def progress(count):
        if disk.syncing.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, key, progress=progress)
    disk.released.set()
    while (folder / bucket).exists():  # it was made by this download, and is left by the thread that installs
        threading.Event().wait(0.01)
    assert manager.fetch(bucket, key).size == SIZE


def test_what_a_dead_process_left_is_written_anew(manager, bucket, key, folder):
    (folder / bucket).mkdir()
    whole_file_of(folder, bucket, key).write_bytes(bytes(3 * SIZE))
    manager.fetch(bucket, key)
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)
    assert unfinished_files(folder) == []


def test_file_that_another_download_writes_is_left_alone(manager, bucket, key, folder):
    (folder / bucket).mkdir()
    theirs = whole_file_of(folder, bucket, key)
    with theirs.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b"theirs")
        file.flush()
        manager.fetch(bucket, key)
        assert theirs.read_bytes() == b"theirs"
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)


def test_wrong_content_is_not_installed(admin, manager, bucket, folder):
    admin.put_object(Bucket=bucket, Key="wrong", Body=b"content", Metadata={"sha256": "0" * 64})
    with pytest.raises(IntegrityError):
        manager.fetch(bucket, "wrong")
    assert not (folder / bucket).exists()


def test_body_that_breaks_goes_on_from_its_last_byte(link, manager, bucket, key, folder):
    link.inject(reset_after(SIZE // 2))
    result = manager.fetch(bucket, key)
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)
    assert link.requests[1].first == SIZE // 2
    assert (result.transferred, len(link.requests)) == (SIZE, 2)


def test_slow_body_is_kept_on_disk_while_it_comes(link, manager, bucket, key, folder):
    """What the calling thread has read by then is not asked for again."""
    link.inject(trickle_after(SIZE // 2))
    seen = []

    def progress(count):
        seen.append(count)
        if sum(seen) > SIZE // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, key, progress=progress)
    assert manager.fetch(bucket, key).resumed_from > SIZE // 2
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)
    assert link.requests[1].first > SIZE // 2
