"""The files of an unfinished download: partial, journal and lock, and what another user may plant under their names."""

import errno
import os
import sys
import threading

import pytest
from filelock import FileLock

from cdn_engine import _disk
from cdn_engine.download.partial import Partial
from cdn_manager import DeadlineExceededError, UnsafePathError

pytestmark = pytest.mark.portable

STATE = {"identity": {"host": "h", "bucket": "b", "key": "k"}, "size": 9, "etag": None, "finished": [[0, 4]]}


@pytest.fixture
def partial(tmp_path):
    made = Partial(str(tmp_path / "final"))
    made.create()
    return made


def paths_of(partial):
    return [partial.path, partial.journal.path, partial.journal.new_path, partial.lock_path]


def plant(path, what, tmp_path):
    """Put something that is not ours under the name of one of our files."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    if os.path.lexists(path):
        os.unlink(path)
    if what == "symbolic link":
        os.symlink(victim, path)
    elif what == "dangling link":
        os.symlink(tmp_path / "created", path)
    elif what == "hard link":
        os.link(victim, path)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "directory":
        os.mkdir(path)
    elif os.geteuid() != 0:
        pytest.skip("only root can create a file that belongs to another user")
    else:
        with open(path, "wb"):
            os.chown(path, 65534, 65534)


def use(partial):
    """Do what a download does."""
    with partial.locked():
        partial.journal.read()
        partial.create()
        partial.reserve(9)
        partial.sync()
        partial.journal.write(STATE)
        partial.install()


@pytest.mark.skipif(os.name == "nt", reason="needs the links and file owners of POSIX")
@pytest.mark.parametrize(
    "what", ["symbolic link", "dangling link", "hard link", "pipe", "directory", "another user's file"]
)
@pytest.mark.parametrize("which", range(4), ids=["partial", "journal", "new journal", "lock"])
def test_planted_file_is_rejected_and_left_untouched(which, what, partial, tmp_path):
    plant(paths_of(partial)[which], what, tmp_path)
    with pytest.raises(UnsafePathError):
        use(Partial(partial.final))
    assert (tmp_path / "victim").read_bytes() == b"untouched"
    assert not (tmp_path / "created").exists()
    assert not (tmp_path / "final").exists()


def test_journal_returns_what_was_written(partial):
    partial.journal.write(STATE)
    assert partial.journal.read() == STATE


def test_journal_with_any_single_bit_flipped_is_ignored(partial):
    partial.journal.write(STATE)
    with open(partial.journal.path, "r+b", buffering=0) as file:
        content = file.read()
        for position in range(8 * len(content)):
            damaged = bytearray(content)
            damaged[position // 8] ^= 1 << position % 8
            file.seek(0)
            file.write(damaged)
            assert partial.journal.read() is None
        file.seek(0)
        file.write(content)
    assert partial.journal.read() == STATE


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 100], ids="{} bytes".format)
def test_truncated_journal_is_ignored(partial, length):
    partial.journal.write(STATE)
    os.truncate(partial.journal.path, length)
    assert partial.journal.read() is None


def test_journal_of_another_format_version_is_ignored(partial):
    partial.journal.write({**STATE, "journal": 2})
    assert partial.journal.read() is None


def test_waiting_for_the_lock_ends_at_the_timeout(partial):
    with partial.locked(), pytest.raises(DeadlineExceededError), Partial(partial.final).locked(0.1):
        pass


def test_only_one_thread_at_a_time_holds_the_lock(partial):
    """The lock file is removed while others wait for it; none of them may lock a file that is gone."""
    holders, counts = [], []

    def hold():
        for _ in range(20):
            with Partial(partial.final).locked():
                holders.append(1)
                counts.append(len(holders))
                holders.pop()

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 80
    assert not os.path.exists(partial.lock_path)


@pytest.mark.skipif(os.name == "nt", reason="needs the file owners of POSIX")
def test_download_works_on_a_file_system_without_owners(partial, monkeypatch):
    """As on vfat with the mount option ``uid``, or NFS for root: every new file belongs to somebody else."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    use(partial)
    assert os.path.exists(partial.final)


def test_failed_sync_is_remembered(partial, monkeypatch):
    """The system reports a lost write only once."""
    sync = _disk.sync

    def fail_once(_):
        monkeypatch.setattr(_disk, "sync", sync)
        raise OSError(errno.EIO, "lost")

    partial.reserve(9)
    monkeypatch.setattr(_disk, "sync", fail_once)
    for _ in range(2):
        with pytest.raises(OSError, match="lost"):
            partial.sync()
    with pytest.raises(OSError, match="lost"):
        partial.install()
    assert not os.path.exists(partial.final)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a call to reserve space")
def test_disk_space_is_reserved(partial):
    partial.reserve(1 << 20)
    assert os.stat(partial.path).st_blocks * 512 >= partial.size() == 1 << 20


def test_names_are_short_enough_for_every_file_system(tmp_path):
    assert max(len(os.path.basename(path)) for path in paths_of(Partial(str(tmp_path / ("x" * 255))))) < 64


def test_partial_that_was_replaced_is_not_used(partial):
    os.rename(partial.path, f"{partial.path}.old")
    with pytest.raises(FileNotFoundError):
        partial.open()
    with open(partial.path, "wb"), pytest.raises(FileNotFoundError, match="replaced"):
        partial.install()
    assert not os.path.exists(partial.final)


def test_ctrl_c_while_the_lock_is_being_released_does_not_keep_it(partial, monkeypatch):
    release = FileLock.release

    def interrupted_release(lock, force=False):
        monkeypatch.setattr(FileLock, "release", release)
        raise KeyboardInterrupt

    monkeypatch.setattr(FileLock, "release", interrupted_release)
    with pytest.raises(KeyboardInterrupt) as caught, partial.locked():
        pass
    with Partial(partial.final).locked():
        assert caught.value.__traceback__ is not None  # at hand, with all that its frames hold
