"""Reads a file that holds secrets. Private to this project."""

import logging
import os
import stat

__all__ = ["read_secret_file"]

_log = logging.getLogger("cdn_manager")


def read_secret_file(path: str | os.PathLike[str], most: int) -> bytes:
    """Return what a file holds. Log a warning if other users of this machine can read it too.

    Args:
        path: The file. A pipe is read once.
        most: The bytes after which to stop.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
            _log.warning("%s contains secrets, and other users of this machine can read it: chmod 600 %s", path, path)
        return file.read(most)
