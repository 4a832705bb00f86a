"""Locks an open file against other processes, and against other descriptors of this one."""

import contextlib
import errno
import os
import sys
from io import FileIO
from pathlib import Path

__all__ = ["lock_named", "release", "try_lock", "unlock"]

if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock the file; return False if another one has it."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        return True

    def unlock(descriptor: int) -> None:
        """Do nothing: closing unlocks."""

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock the file, as it may be already by this descriptor; return False if another one has it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Unlock the file, also for a process forked by C code, which still has the descriptor."""
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def lock_named(path: Path) -> FileIO | None:
    """Make a file for its lock, and take that. Return None if another one has it; ``release`` removes the file.

    Raises:
        OSError: The file cannot be made, or the file system cannot lock files.
    """
    while True:
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600), "r+")
        try:
            if not try_lock(file.fileno()):
                file.close()
                return None
            if os.name == "nt" or _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # it was removed by the one who had it


def release(file: FileIO, path: Path) -> None:
    """Let go of a lock of ``lock_named``, and remove its file where open files can be removed."""
    with file, contextlib.suppress(OSError):
        if os.name != "nt" and _is_at(file, path):
            path.unlink()
        unlock(file.fileno())


def _is_at(file: FileIO, path: Path) -> bool:
    """Return True if the path still leads to this open file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    return False
