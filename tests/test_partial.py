"""What lies beside an unfinished file: journal, lock and partial, and what another user may have planted there."""

import errno
import os
import sys
import threading

import pytest

from cdn_errors import DeadlineExceededError, UnsafePathError
from cdn_partial import Partial

pytestmark = pytest.mark.portable

STATE = {"identity": {"host": "h", "bucket": "b", "key": "k"}, "size": 9, "etag": None, "finished": [[0, 4]]}


@pytest.fixture
def partial(tmp_path):
    made = Partial(str(tmp_path / "final"))
    made.create()
    return made


def paths(partial):
    return [partial.path, partial.journal_path, partial.new_journal_path, partial.lock_path]


def plant(path, what, tmp_path):
    """Put something under the name of one of our files that is not ours."""
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
        pytest.skip("only root can make a file of another user")
    else:
        with open(path, "wb"):
            os.chown(path, 65534, 65534)


def use(partial):
    """Do what a download does."""
    with partial.locked():
        partial.read_journal()
        partial.create()
        partial.reserve(9)
        partial.sync()
        partial.write_journal(STATE)
        partial.install()


@pytest.mark.skipif(os.name == "nt", reason="links and owners of POSIX")
@pytest.mark.parametrize("what", ["symbolic link", "dangling link", "hard link", "pipe", "directory", "other's file"])
@pytest.mark.parametrize("which", range(4), ids=["partial", "journal", "new journal", "lock"])
def test_what_was_planted_is_refused_and_not_used(which, what, partial, tmp_path):
    plant(paths(partial)[which], what, tmp_path)
    with pytest.raises(UnsafePathError):
        use(Partial(partial.final))
    assert (tmp_path / "victim").read_bytes() == b"untouched"
    assert not (tmp_path / "created").exists()
    assert not (tmp_path / "final").exists()


def test_the_journal_says_what_it_was_given(partial):
    partial.write_journal(STATE)
    assert partial.read_journal() == STATE


def test_every_flipped_bit_of_the_journal_is_found(partial):
    partial.write_journal(STATE)
    with open(partial.journal_path, "r+b", buffering=0) as file:
        content = file.read()
        for position in range(8 * len(content)):
            damaged = bytearray(content)
            damaged[position // 8] ^= 1 << position % 8
            file.seek(0)
            file.write(damaged)
            assert partial.read_journal() is None
        file.seek(0)
        file.write(content)
    assert partial.read_journal() == STATE


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 100])
def test_a_journal_that_was_cut_short_is_nothing(partial, length):
    partial.write_journal(STATE)
    os.truncate(partial.journal_path, length)
    assert partial.read_journal() is None


def test_a_journal_of_another_version_is_nothing(partial):
    partial.write_journal({**STATE, "journal": 2})
    assert partial.read_journal() is None


def test_a_second_holder_waits_until_its_time_is_up(partial):
    with partial.locked(), pytest.raises(DeadlineExceededError), Partial(partial.final).locked(0.1):
        pass


def test_waiters_get_the_lock_one_after_the_other(partial):
    """The lock's file is removed while others wait for it; none of them may take a lock on what is gone."""
    holders, most = [], []

    def hold():
        for _ in range(20):
            with Partial(partial.final).locked():
                holders.append(1)
                most.append(len(holders))
                holders.pop()

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1
    assert not os.path.exists(partial.lock_path)


@pytest.mark.skipif(os.name == "nt", reason="owners of POSIX")
def test_a_file_system_without_owners_can_be_downloaded_to(partial, monkeypatch):
    """As vfat with the mount option ``uid``, or NFS for root: whatever is made there belongs to somebody else."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    use(partial)
    assert os.path.exists(partial.final)


def test_what_was_lost_on_the_way_to_the_disk_is_not_forgotten(partial, monkeypatch):
    """The system tells it once."""
    fsync = os.fsync

    def fail_once(_):
        monkeypatch.setattr(os, "fsync", fsync)
        raise OSError(errno.EIO, "lost")

    partial.reserve(9)
    monkeypatch.setattr(os, "fsync", fail_once)
    for _ in range(2):
        with pytest.raises(OSError, match="lost"):
            partial.sync()
    with pytest.raises(OSError, match="lost"):
        partial.install()
    assert not os.path.exists(partial.final)


@pytest.mark.skipif(sys.platform != "linux", reason="the other systems have no call for it")
def test_the_space_is_reserved(partial):
    partial.reserve(1 << 20)
    assert os.stat(partial.path).st_blocks * 512 >= partial.size() == 1 << 20


def test_names_are_shorter_than_any_file_system_demands(tmp_path):
    assert max(len(os.path.basename(path)) for path in paths(Partial(str(tmp_path / ("x" * 255))))) < 64


def test_the_partial_is_one_file_from_its_creation_on(partial):
    os.rename(partial.path, f"{partial.path}.old")
    with pytest.raises(FileNotFoundError):
        partial.open()
    with open(partial.path, "wb"), pytest.raises(FileNotFoundError, match="replaced"):
        partial.install()
    assert not os.path.exists(partial.final)
