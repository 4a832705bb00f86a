"""What would keep a finished file from getting its final name, found before a byte is asked for."""

import errno
import os
import secrets
import stat
import sys

from cdn_engine import _disk
from cdn_engine.download.directory import Directory
from cdn_engine.download.own_file import is_foreign
from cdn_engine.paths import RESERVED_PREFIX

__all__ = ["check_final_name"]

# What macOS and the BSDs call immutable and append-only, for the user and for the system.
_FIXED = sum(getattr(stat, name, 0) for name in ("UF_IMMUTABLE", "UF_APPEND", "SF_IMMUTABLE", "SF_APPEND"))

# What every file system takes in a name.
_ORDINARY = frozenset(map(chr, range(0x20, 0x7F))) - frozenset('<>:"/\\|?*')
_TRIED = 32  # characters; more would not fit into a name where each takes several bytes


def check_final_name(directory: Directory, name: str, may_exist: bool = True) -> None:
    """Raise what renaming a file to ``name`` would raise, as far as that can be known.

    Args:
        directory: Where the file is.
        name: The name.
        may_exist: False if there is nothing of this name.

    Raises:
        IsADirectoryError: A directory has the name.
        OSError: Something else that cannot be replaced has it, or the name is too long; the error names the path.
    """
    path = os.path.join(directory.path, name)
    if directory.attributes("") & (_disk.APPEND_ONLY | _disk.IMMUTABLE):
        raise PermissionError(errno.EPERM, "nothing in this directory can be replaced: see lsattr", directory.path)
    found = _stat(directory, name) if may_exist else None
    if found is None:
        _try_unusual_characters(directory, name)
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a directory has this name: remove it, or choose another path", path)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "a device, pipe or socket has this name, and is not replaced", path)
    attributes = directory.attributes(name)
    if attributes & _disk.MOUNT_POINT:
        raise OSError(errno.EBUSY, "this file is a mount point and cannot be replaced: mount its directory", path)
    if attributes & (_disk.APPEND_ONLY | _disk.IMMUTABLE) or getattr(found, "st_flags", 0) & _FIXED:
        raise PermissionError(errno.EPERM, "this file is immutable or append-only: see lsattr", path)
    if is_foreign(directory, found) and not _may_remove_all(directory):
        raise PermissionError(errno.EPERM, "this file is another user's, in a directory with the sticky bit", path)


def _stat(directory: Directory, name: str) -> os.stat_result | None:
    try:
        return directory.stat(name)
    except FileNotFoundError:
        return None


def _try_unusual_characters(directory: Directory, name: str) -> None:
    """Make and remove a file with the unusual characters of ``name``, which vfat, exfat and NTFS refuse."""
    unusual = "".join(sorted(set(name) - _ORDINARY))[:_TRIED]
    if not unusual:
        return
    probe = f"{RESERVED_PREFIX}{secrets.token_hex(16)}{unusual}"
    try:
        os.close(directory.open_file(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EILSEQ):
            reason = f"this file system refuses a character of this name: {error.strerror}"
            raise OSError(error.errno, reason, os.path.join(directory.path, name)) from None
        return  # making the lock file will fail too, and say it better
    directory.unlink(probe)


def _may_remove_all(directory: Directory) -> bool:
    """Return True if the sticky bit does not bind this user: the directory's owner, or root."""
    return sys.platform != "win32" and os.geteuid() in (0, directory.status().st_uid)
