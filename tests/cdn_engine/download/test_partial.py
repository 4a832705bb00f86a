"""The files of an unfinished download, and what another user may plant under their names."""

import errno
import os
import sys

import pytest

from cdn_engine import _disk
from cdn_engine.download import directory
from cdn_engine.download.journal import Record
from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target
from cdn_engine.wire.deadline import Deadline
from cdn_manager import UnsafePathError

pytestmark = pytest.mark.portable

RECORD = Record({"host": "h", "bucket": "b", "key": "k"}, 9, '"etag"', None, [(0, 4)])
NO_DEADLINE = Deadline(None)


@pytest.fixture
def partial(tmp_path):
    made = Partial(Target.of(tmp_path / "final"))
    made.lock(NO_DEADLINE)
    made.create()
    yield made
    made.unlock()


def paths_of(partial):
    stem = partial.path.removesuffix(".part")
    return [f"{stem}.part", f"{stem}.journal", f"{stem}.journal.new", partial.lock_path]


def plant(path, what, tmp_path):
    """Put something that is not ours under the name of one of our files."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
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
        tmp_path.chmod(0o1777)
        with open(path, "wb"):
            os.chown(path, 65534, 65534)


def use(final):
    """Do what a download does."""
    partial = Partial(Target.of(final))
    try:
        partial.lock(NO_DEADLINE)
        partial.journal.read()
        partial.create()
        partial.reserve(9)
        partial.sync()
        partial.journal.write(RECORD)
        partial.install()
    finally:
        partial.unlock()


@pytest.mark.skipif(os.name == "nt", reason="needs the links and file owners of POSIX")
@pytest.mark.parametrize(
    "what",
    ["symbolic link", "dangling link", "hard link", "pipe", "directory", "another user's file where anyone may write"],
)
@pytest.mark.parametrize("which", range(4), ids=["partial", "journal", "new journal", "lock"])
def test_planted_file_is_rejected_and_left_untouched(which, what, tmp_path):
    path = paths_of(Partial(Target.of(tmp_path / "final")))[which]
    plant(path, what, tmp_path)
    with pytest.raises(UnsafePathError, match=os.path.basename(path)):
        use(tmp_path / "final")
    assert (tmp_path / "victim").read_bytes() == b"untouched"
    assert not (tmp_path / "created").exists()
    assert not (tmp_path / "final").exists()


@pytest.mark.skipif(os.name == "nt", reason="needs the file owners of POSIX")
def test_download_works_on_a_file_system_without_owners(tmp_path, monkeypatch):
    """As NFS that maps all users to one: every new file belongs to somebody else, even where anyone may write."""
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    use(tmp_path / "final")
    assert os.listdir(tmp_path) == ["final"]


@pytest.mark.parametrize("parents", ["", "new", "new/er"])
def test_download_works_where_directories_cannot_be_held_open(tmp_path, monkeypatch, parents):
    """As on Windows."""
    monkeypatch.setattr(directory, "_HOLDS", False)
    use(tmp_path / parents / "final")
    assert (tmp_path / parents / "final").read_bytes() == bytes(9)
    with pytest.raises(IsADirectoryError):
        use(tmp_path)
    with pytest.raises(NotADirectoryError):
        use(tmp_path / parents / "final" / "x")


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_planted_link_is_not_followed_where_directories_cannot_be_held_open(tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "_HOLDS", False)
    (tmp_path / "outside").mkdir()
    (tmp_path / "sub").symlink_to("outside")
    with pytest.raises(UnsafePathError):
        use(Target(str(tmp_path), ("sub",), "final"))
    assert list((tmp_path / "outside").iterdir()) == []


def fail_to_sync(_):
    raise OSError(errno.EIO, "lost")


def test_failed_sync_is_remembered(partial, monkeypatch):
    """The system reports a lost write only once."""
    with monkeypatch.context() as patched:
        patched.setattr(_disk, "sync", fail_to_sync)
        with pytest.raises(OSError, match="lost"):
            partial.sync()
    for act in (partial.sync, partial.install):
        with pytest.raises(OSError, match="lost"):
            act()
    assert not os.path.exists(partial.final)


def test_failed_sync_names_the_file(partial, monkeypatch):
    monkeypatch.setattr(_disk, "sync", fail_to_sync)
    with pytest.raises(OSError, match="lost") as caught:
        partial.install()
    assert caught.value.filename == partial.final


def test_journal_that_cannot_be_removed_does_not_undo_an_installation(partial, monkeypatch):
    unlink = os.unlink

    def refuse_journal(path, **options):
        if ".journal" in str(path):
            raise PermissionError(errno.EACCES, "open in another program", path)
        unlink(path, **options)

    partial.journal.write(RECORD)
    monkeypatch.setattr(os, "unlink", refuse_journal)
    partial.install()
    assert os.path.exists(partial.final)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a call to reserve space")
def test_disk_space_is_reserved(partial):
    partial.reserve(1 << 20)
    assert os.stat(partial.path).st_blocks * 512 >= partial.size() == 1 << 20


def test_names_are_short_enough_for_every_file_system(tmp_path):
    partial = Partial(Target.of(tmp_path / ("x" * 255)))
    assert max(len(os.path.basename(path)) for path in paths_of(partial)) < 64


def test_partial_that_was_replaced_is_not_used(partial):
    os.rename(partial.path, f"{partial.path}.old")
    with pytest.raises(FileNotFoundError):
        partial.open()
    with open(partial.path, "wb"), pytest.raises(FileNotFoundError, match="replaced"):
        partial.install()
    assert not os.path.exists(partial.final)


def test_everything_is_closed_and_removed_at_the_end(tmp_path):
    before = descriptors()
    use(tmp_path / "a" / "b" / "final")
    with pytest.raises(IsADirectoryError):
        use(tmp_path / "a" / "b")
    assert descriptors() == before
    assert os.listdir(tmp_path / "a") == ["b"]


def descriptors():
    try:
        return sorted(os.listdir("/proc/self/fd"))
    except FileNotFoundError:
        pytest.skip("this system does not list a process's descriptors")
