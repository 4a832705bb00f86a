"""Tells whether a file may have changed, without reading it.

Every write sets ``st_ctime``, which no program can set back, unlike ``st_mtime``. If a file shows the same times before
its first byte is read and after its last, all of it has been the same. This needs a file system that keeps its times
by this machine's clock, and a last change that is long enough ago for the next one to leave another time; git calls
other files "racily clean". What remains are stores through a shared mapping (``mmap``): on tmpfs they never set
``st_ctime``, elsewhere only the first store to a page after it has been written back does.
"""

import functools
import io
import os
import stat
import time
from collections.abc import Callable
from typing import Any

__all__ = ["is_plain", "settle", "watch"]

# Seconds until a change certainly leaves another time: the kernel's clock for files ticks every 1 to 10 ms, and where
# there are no nanoseconds, times are in whole seconds.
_SETTLED = 0.05
_SETTLED_WITHOUT_NANOSECONDS = 2.0

# Network file systems cache times, and FUSE's are whatever a program says.
_DATED = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})

# What reads the file itself. Others may have bytes that are still to be written, or make their content of the file's.
_PLAIN = (io.FileIO, io.BufferedReader)


def is_plain(file: Any) -> bool:
    """Return True if an open file is the system's file, and nothing in between."""
    return type(file) in _PLAIN


def watch(file: Any) -> Callable[[], object] | None:
    """Return a function whose values are equal as long as the content is the same; None if nothing shows that.

    It may change although the content does not: renaming a file, a new link and chmod set ``st_ctime`` too.

    Args:
        file: An open file.
    """
    if not is_plain(file):
        return None
    descriptor = file.fileno()
    status = os.fstat(descriptor)
    if not (stat.S_ISREG(status.st_mode) and _is_settled(status) and _is_dated(descriptor)):
        return None
    return functools.partial(_identity, descriptor)


def settle(identify: Callable[[], object], check: Callable[[], object]) -> object:
    """Wait until a file has been the same for so long that the next change will show. Return what it is then.

    Args:
        identify: What ``watch`` has returned.
        check: Called again and again. An exception in it ends the waiting.
    """
    seen, since = identify(), time.monotonic()
    while time.monotonic() - since < _SETTLED_WITHOUT_NANOSECONDS:
        check()
        time.sleep(_SETTLED)
        if (now := identify()) != seen:
            seen, since = now, time.monotonic()
    return seen


def _identity(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_settled(status: os.stat_result) -> bool:
    times = status.st_mtime_ns, status.st_ctime_ns
    has_nanoseconds = any(moment % 10**9 for moment in times)
    age = (time.time_ns() - max(times)) / 1e9
    return age > (_SETTLED if has_nanoseconds else _SETTLED_WITHOUT_NANOSECONDS)


def _is_dated(descriptor: int) -> bool:
    """Return True if Linux says that the file is on one of the file systems above."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as info, open("/proc/self/mountinfo", "rb") as mounts:
            mount = next((line.split()[1] for line in info if line.startswith(b"mnt_id:")), None)
            kinds = (line.partition(b" - ")[2].split()[0].decode() for line in mounts if line.split()[0] == mount)
            return next(kinds, None) in _DATED
    except OSError:
        return False
