"""Locks an open file against other processes, and against other descriptors of this one."""

import contextlib
import errno
import os
import sys

__all__ = ["is_named", "try_lock", "unlock"]

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


def is_named(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Return True if the path still leads to this open file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    return False
