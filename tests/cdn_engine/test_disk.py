"""The system calls that Python lacks."""

import errno
import os
import sys

import pytest

from cdn_engine import _disk

pytestmark = pytest.mark.portable

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the other systems have no such call")


@pytest.fixture
def file(tmp_path):
    with open(tmp_path / "file", "w+b") as opened:
        yield opened


def test_space_is_reserved_where_the_system_can(file):
    assert _disk.allocate(file.fileno(), 1 << 20) is (sys.platform == "linux")
    assert sys.platform != "linux" or os.fstat(file.fileno()).st_blocks * 512 >= 1 << 20


@linux_only
def test_more_space_than_there_is_is_an_error(file):
    with pytest.raises(OSError, match=f"Errno ({errno.ENOSPC}|{errno.EFBIG})"):
        _disk.allocate(file.fileno(), 1 << 60)


def test_file_and_directory_can_be_synced(file, tmp_path):
    _disk.sync(file.fileno())
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        _disk.sync(folder)
        os.close(folder)


def test_failed_sync_is_an_error(file):
    descriptor = os.dup(file.fileno())
    os.close(descriptor)
    with pytest.raises(OSError, match=r"[Bb]ad file descriptor"):
        _disk.sync(descriptor)


def test_beginning_of_a_sync_leaves_errors_to_the_sync(file):
    descriptor = os.dup(file.fileno())
    _disk.begin_sync(descriptor)
    os.close(descriptor)
    _disk.begin_sync(descriptor)


@linux_only
def test_mount_point_is_recognized():
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert _disk.attributes(root, b"proc") & _disk.MOUNT_POINT
        assert not _disk.attributes(root, b"proc/self/no such entry")
    finally:
        os.close(root)


def test_ordinary_file_can_be_replaced(file, tmp_path):
    if not hasattr(os, "O_DIRECTORY"):
        pytest.skip("this system opens no directories")
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert not _disk.attributes(folder, b"file") & (_disk.APPEND_ONLY | _disk.IMMUTABLE | _disk.MOUNT_POINT)
    finally:
        os.close(folder)
