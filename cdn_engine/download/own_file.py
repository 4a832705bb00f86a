"""Opens files of ours beside the target, and nothing that someone else has put under their names.

Their names follow from the target's name, because a later process has to find them; another user may therefore plant
something there. Only a regular file of this user with one link is used.
"""

import os
import stat
import tempfile
from io import FileIO
from typing import NoReturn

from cdn_engine.errors import UnsafePathError

__all__ = ["open_own", "stat_own", "unlink_own"]

# A link is not followed, and a pipe or device is not waited for.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def stat_own(path: str) -> os.stat_result | None:
    """Return the status of our file at ``path``; None if there is nothing.

    Raises:
        UnsafePathError: Something that is not ours is there.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if not _is_own(path, found):
        _refuse(path)
    return found


def open_own(path: str, mode: str, create: bool = False) -> FileIO:
    """Open our file at ``path``, unbuffered.

    Args:
        path: The file.
        mode: ``r`` or ``r+``.
        create: Create the file if there is none.

    Raises:
        UnsafePathError: Something that is not ours is there.
        FileNotFoundError: There is no file, and ``create`` is False.
    """
    stat_own(path)
    flags = (os.O_RDONLY if mode == "r" else os.O_RDWR) | (os.O_CREAT if create else 0) | _NO_FOLLOW | _BINARY
    # 0o666 less the umask: the permissions that a plain open() gives.
    file = FileIO(os.open(path, flags, 0o666), mode)
    if not _is_own(path, os.fstat(file.fileno())):
        file.close()
        _refuse(path)
    return file


def unlink_own(path: str) -> bool:
    """Remove our file at ``path``. Return True if there was one.

    Raises:
        UnsafePathError: Something that is not ours is there.
    """
    if stat_own(path) is None:
        return False
    os.unlink(path)
    return True


def _is_own(path: str, found: os.stat_result) -> bool:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return False
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid() or found.st_uid == _owner_of_new(path)


def _owner_of_new(path: str) -> int:
    """Return who owns a new file beside ``path``: somebody else, if the file system maps all users to one."""
    with tempfile.TemporaryFile(dir=os.path.dirname(path)) as file:
        return os.fstat(file.fileno()).st_uid


def _refuse(path: str) -> NoReturn:
    raise UnsafePathError(
        f"{path!r} is not a regular file of this user with a single link: look at it, remove it and try again"
    )
