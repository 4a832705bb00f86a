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


def test_file_system_can_be_synced_as_a_whole(file):
    assert _disk.sync_file_system(file.fileno()) is (sys.platform == "linux")


@linux_only
def test_failed_sync_of_a_file_system_is_an_error(file):
    descriptor = os.dup(file.fileno())
    os.close(descriptor)
    with pytest.raises(OSError, match=r"[Bb]ad file descriptor"):
        _disk.sync_file_system(descriptor)
