"""Gives a new file the permissions of the one that it replaces."""

import contextlib
import os
import stat
import sys
from io import FileIO

from cdn_engine.download.directory import Directory

__all__ = ["take_permissions"]

_PERMISSIONS = 0o777  # without the bits by which a program runs with its owner's rights


def take_permissions(file: FileIO, directory: Directory, name: str) -> None:
    """Give a file the permissions of the one that has this name, and its owner and group where that is allowed."""
    if sys.platform == "win32":
        return
    try:
        replaced = directory.stat(name)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(replaced.st_mode):
        return
    own = os.fstat(file.fileno())
    with contextlib.suppress(OSError):
        if own.st_gid != replaced.st_gid:
            os.fchown(file.fileno(), -1, replaced.st_gid)
        if own.st_uid != replaced.st_uid:
            os.fchown(file.fileno(), replaced.st_uid, -1)
    with contextlib.suppress(OSError):  # a file system without permissions, or another user's partial
        os.fchmod(file.fileno(), replaced.st_mode & _PERMISSIONS)
