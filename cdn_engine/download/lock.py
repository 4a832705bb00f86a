"""The lock file of one download, which keeps other threads, processes and users from downloading to the same file."""

import contextlib
import errno
import os
import time
from collections.abc import Callable
from io import FileIO

from cdn_engine.download.directory import Directory
from cdn_engine.download.folder import Folder
from cdn_engine.download.own_file import open_own, stat_own
from cdn_engine.errors import DeadlineExceededError, UnsafePathError
from cdn_engine.file_lock import try_lock, unlock
from cdn_engine.log import log
from cdn_engine.wire.deadline import Deadline

__all__ = ["Lock", "is_current"]

_POLL = 0.05  # seconds between two attempts to get the lock
_SILENT = 1.0  # seconds of waiting before that is said
_TICK = 0.5  # seconds between two calls of ``on_wait``
_STALE = 10  # removed lock files that one attempt may meet; a file system without stable inodes makes all look so
_ATTEMPTS = 100  # to make the lock file before others remove its directory

_NO_LOCKS = (
    "this file system cannot lock files, and without a lock two downloads of one file would spoil it; "
    "mount it with locks, or download to another one and move the file"
)

class Lock:
    """An exclusive lock that the system releases if the process dies.

    Args:
        folder: Where the lock file is; entered.
        name: Its name.
        final: The path that is downloaded to, for messages.

    Thread-safety: for one thread at a time.
    """

    def __init__(self, folder: Folder, name: str, final: str) -> None:
        self._folder = folder
        self._name = name
        self._final = final
        self._file: FileIO | None = None

    def acquire(self, deadline: Deadline, on_wait: Callable[[], object] | None) -> None:
        """Wait for the lock.

        Args:
            deadline: When to give up.
            on_wait: Called about twice a second of waiting; may raise.

        Raises:
            DeadlineExceededError: Another process still holds it.
            UnsafePathError: Something that is not ours has the lock file's name.
            OSError: The file cannot be made, or the file system cannot lock files.
        """
        began = said = ticked = time.monotonic()
        try:
            while not self._get():
                now = time.monotonic()
                if not deadline.allows():
                    raise DeadlineExceededError(f"at the deadline, another process was downloading {self._final!r}")
                if said == began and now - began >= _SILENT:
                    said = now
                    log(f"waiting for another process that is downloading {self._final!r}")
                if on_wait is not None and now - ticked >= _TICK:
                    ticked = now
                    on_wait()
                time.sleep(_POLL)
        except BaseException:
            with contextlib.suppress(OSError, UnsafePathError):
                if self._file is None:  # Ctrl-C may have come between making the lock file and taking note of it
                    self._file = open_own(self._folder.directory, self._name, "r")
            self.release()
            raise

    def release(self) -> None:
        """Remove the lock file if it is ours, and let go of it. May be called again."""
        file = self._file
        if file is None or file.closed:
            return
        try:
            try:
                self._remove(file)
            except BaseException:  # Ctrl-C in the middle of it: it is done before that is passed on
                self._remove(file)
                raise
        finally:
            try:
                unlock(file.fileno())
            finally:
                file.close()
        if os.name == "nt":  # where no open file can be removed, and so nobody's but ours
            self._unlink()

    def _remove(self, file: FileIO) -> None:
        # Those who wait notice that the file they have locked is gone, and start over with a new one.
        if os.name != "nt" and _is_free(file) and self._is_current(file):
            self._unlink()

    def abandon(self) -> None:
        """Close the lock file in a forked child, which does not unlock the parent's."""
        if self._file is not None:
            self._file.close()

    def _get(self) -> bool:
        """Make one attempt. Return True if the lock is ours, and its file is the one that others find."""
        for _ in range(_STALE):
            if self._file is None or self._file.closed:
                self._file = self._open()
            try:
                if not try_lock(self._file.fileno()):
                    return False
            except OSError as error:
                raise OSError(error.errno, f"{error.strerror}: {_NO_LOCKS}", self._folder.directory.path) from None
            if self._is_current(self._file):
                return True
            self._file.close()
        return False

    def _open(self) -> FileIO:
        """Open the lock file, in a directory made anew if another process has removed it because it was empty."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                return self._open_or_create()
            self._folder.leave()
            self._folder.enter()
        raise OSError(errno.ENOENT, "no file can be made in this directory", self._folder.directory.path)

    def _open_or_create(self) -> FileIO:
        directory = self._folder.directory
        try:
            return open_own(directory, self._name, "r+", create=True)
        except FileNotFoundError:
            raise
        except OSError as error:
            if stat_own(directory, self._name) is None:
                reason = f"no file can be made in this directory: {error.strerror}"
                raise OSError(error.errno, reason, directory.path) from None
        try:
            return open_own(directory, self._name, "r")  # another user's can be locked if it can be read
        except PermissionError as error:
            reason = "another user's download has this lock file, and keeps it private: wait for it, or remove the file"
            raise PermissionError(error.errno, reason, error.filename) from None

    def _is_current(self, file: FileIO) -> bool:
        return is_current(file, self._folder.directory, self._name)

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.directory.unlink(self._name)


def is_current(file: FileIO, directory: Directory, name: str) -> bool:
    """Return True if the name still leads to this file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), directory.stat(name))
    return False


def _is_free(file: FileIO) -> bool:
    """Return True unless somebody else holds the lock."""
    try:
        return try_lock(file.fileno())
    except OSError:  # no locks here: nobody holds one
        return True
