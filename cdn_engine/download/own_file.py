"""Opens files of ours beside the target, and nothing that someone else has put under their names.

Their names follow from the target's name, because a later process has to find them; another user may therefore plant
something there. Only a regular file with one link is used. It may be another user's where users share a folder: who
may write there could replace the finished file too. In a directory with the sticky bit, such as /tmp, they could not;
there it has to be this user's.
"""

import contextlib
import os
import secrets
import stat
from io import FileIO
from typing import NoReturn

from cdn_engine.download.directory import Directory
from cdn_engine.errors import UnsafePathError
from cdn_engine.paths import RESERVED_PREFIX

__all__ = ["is_foreign", "open_own", "stat_own", "unlink_own"]

_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe or device is not waited for


def stat_own(directory: Directory, name: str) -> os.stat_result | None:
    """Return the status of our file; None if there is nothing.

    Raises:
        UnsafePathError: Something that is not ours is there.
    """
    try:
        found = directory.stat(name)
    except FileNotFoundError:
        return None
    _check(directory, name, found)
    return found


def open_own(directory: Directory, name: str, mode: str, create: bool = False) -> FileIO:
    """Open our file, unbuffered.

    Args:
        directory: Where it is.
        name: Its name.
        mode: ``r`` or ``r+``.
        create: Create the file if there is none, with the permissions of a plain ``open()``.

    Raises:
        UnsafePathError: Something that is not ours is there.
        FileNotFoundError: There is no file, and ``create`` is False; or the directory has been removed.
    """
    flags = (os.O_RDONLY if mode == "r" else os.O_RDWR) | _FLAGS
    while True:
        present = stat_own(directory, name) is not None
        # Without O_CREAT where there is a file: Linux may refuse it for another user's (fs.protected_regular).
        new = 0 if present or not create else os.O_CREAT | os.O_EXCL
        try:
            # Closes the descriptor itself, wherever Ctrl-C comes: closed twice, it could be somebody else's by then.
            file = FileIO(directory.open_file(name, flags | new), mode)
        except FileExistsError:
            continue
        except FileNotFoundError:
            if create and present:
                continue
            raise
        try:
            _check(directory, name, os.fstat(file.fileno()))
        except BaseException:
            file.close()
            raise
        return file


def unlink_own(directory: Directory, name: str) -> bool:
    """Remove our file. Return True if there was one.

    Raises:
        UnsafePathError: Something that is not ours is there.
    """
    if stat_own(directory, name) is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        directory.unlink(name)
    return True


def is_foreign(directory: Directory, found: os.stat_result) -> bool:
    """Return True if a file is another user's in a directory where only its owner may remove it."""
    if not hasattr(os, "geteuid") or found.st_uid == os.geteuid() or not directory.status().st_mode & stat.S_ISVTX:
        return False
    return found.st_uid != _owner_of_new(directory)


def _check(directory: Directory, name: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        _refuse(directory, name, "is not a regular file with a single link: look at it, remove it and try again")
    if is_foreign(directory, found):
        _refuse(
            directory, name, "is another user's, and anyone may write to its directory: have it removed, or download "
            "to a directory of your own"
        )  # fmt: skip


def _owner_of_new(directory: Directory) -> int:
    """Return who owns a new file there: somebody else, if the file system maps all users to one."""
    name = f"{RESERVED_PREFIX}{secrets.token_hex(16)}.owner"
    descriptor = directory.open_file(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        return os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
        directory.unlink(name)


def _refuse(directory: Directory, name: str, reason: str) -> NoReturn:
    raise UnsafePathError(f"{os.path.join(directory.path, name)!r} {reason}")
