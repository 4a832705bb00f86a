"""The system calls that Python lacks."""

import errno
import os
import sys

import pytest

from cdn_engine import _disk

pytestmark = pytest.mark.portable

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows opens no directories")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the other systems have no such call")


@pytest.fixture
def file(tmp_path):
    with open(tmp_path / "file", "w+b") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_space_is_reserved_where_the_system_can(file):
    assert _disk.allocate(file.fileno(), 1 << 20) is (sys.platform == "linux")
    assert sys.platform != "linux" or os.fstat(file.fileno()).st_blocks * 512 >= 1 << 20


@linux_only
def test_more_space_than_there_is_is_an_error(file):
    with pytest.raises(OSError, match=f"Errno ({errno.ENOSPC}|{errno.EFBIG})"):
        _disk.allocate(file.fileno(), 1 << 60)


def test_file_can_be_synced(file):
    _disk.sync(file.fileno())


@posix_only
def test_directory_can_be_synced(folder):
    _disk.sync(folder)


def closed(file):
    descriptor = os.dup(file.fileno())
    os.close(descriptor)
    return descriptor


def test_failed_sync_is_an_error(file):
    with pytest.raises(OSError, match=r"[Bb]ad file descriptor"):
        _disk.sync(closed(file))


def test_files_that_are_synced_together_fail_one_by_one(file):
    good, bad = _disk.sync_all([file.fileno(), closed(file)])
    assert good is None
    assert (type(bad), bad.errno) == (OSError, errno.EBADF)
    assert _disk.sync_all([]) == []


@posix_only
def test_files_that_are_renamed_together_fail_one_by_one(folder, tmp_path):
    for name in ("one", "two", "taken"):
        (tmp_path / name).write_text(name)
    renames = [(folder, b"one", b"1"), (folder, b"none", b"2"), (folder, b"two", b"taken"), (-1, b"1", b"3")]
    assert [failure and failure.errno for failure in _disk.rename_all(renames)] == [
        None, errno.ENOENT, None, errno.EBADF,
    ]  # fmt: skip
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"1": "one", "taken": "two"}


@posix_only
def test_directory_is_told_from_others_by_its_identity(folder, tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "link").symlink_to("below")
    flags = os.O_RDONLY | os.O_DIRECTORY
    below, identity = _disk.open_directory(folder, b"below", flags)
    again, same = _disk.open_directory(-1, os.fsencode(tmp_path / "below"), flags)
    for descriptor in (below, again):
        os.close(descriptor)
    found = (tmp_path / "below").stat()
    assert identity == same == (found.st_dev, found.st_ino)
    for parent, path, failure in [(folder, b"none", errno.ENOENT), (-1, b"below", errno.EBADF)]:
        with pytest.raises(OSError, match=f"Errno {failure}"):
            _disk.open_directory(parent, path, flags)
    with pytest.raises(OSError, match=f"Errno ({errno.ELOOP}|{errno.ENOTDIR})"):
        _disk.open_directory(folder, b"link", flags | os.O_NOFOLLOW)


@posix_only
def test_file_is_locked_from_its_creation_on(folder, tmp_path):
    import fcntl

    descriptor = _disk.create_locked(folder, b"locked", os.O_RDWR)
    with (tmp_path / "locked").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    with pytest.raises(FileExistsError):
        _disk.create_locked(folder, b"locked", os.O_RDWR)


@posix_only
def test_entries_are_looked_for_together(folder, tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert _disk.has_any(folder, [b"a", b"b", b"link"])
    assert not _disk.has_any(folder, [b"a", b"b"])
    assert not _disk.has_any(folder, [])
    assert _disk.has_any(folder, [b"x" * 300])  # too long: perhaps


@posix_only
@pytest.mark.parametrize(
    "call",
    [
        lambda folder, name: _disk.open_directory(folder, name, os.O_RDONLY),
        lambda folder, name: _disk.create_locked(folder, name, os.O_RDWR),
        lambda folder, name: _disk.has_any(folder, [name]),
        lambda folder, name: _disk.attributes(folder, name),
        lambda folder, name: _disk.rename_all([(folder, name, b"name")]),
        lambda folder, name: _disk.rename_all([(folder, b"name", name)]),
    ],
)
def test_name_is_not_cut_at_a_zero_byte(folder, call):
    with pytest.raises(ValueError, match="null byte"):
        call(folder, b"a\0b")


@linux_only
def test_mount_point_is_recognized():
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert _disk.attributes(root, b"proc") & _disk.MOUNT_POINT
        assert not _disk.attributes(root, b"proc/self/no such entry")
    finally:
        os.close(root)


@posix_only
def test_ordinary_file_can_be_replaced(file, folder):
    assert not _disk.attributes(folder, b"file") & (_disk.APPEND_ONLY | _disk.IMMUTABLE | _disk.MOUNT_POINT)
