"""Gives small files their final names, many at a time: a sync takes the disk as long for several files as for one."""

import contextlib
import errno
import os
import queue
import threading
from typing import Protocol

from cdn_engine import _disk, threads
from cdn_engine.download.directory import Directory, replace_all

__all__ = ["Installable", "submit"]

_LINGER = 0.2  # seconds that the thread waits for more files before it ends
_MOST = 64  # files at a time


class Installable(Protocol):
    """A file that has been written, and is to be installed. Its methods are called in the installer's thread.

    Attributes:
        error: Why it is not installed; None if it is, or may be yet.
    """

    error: Exception | None

    def fileno(self) -> int:
        """Return the descriptor of the file, whose data is to be on the disk before it is renamed."""
        ...

    def note_sync(self, failure: OSError | None) -> None:
        """Take note that the data is on the disk, or why it may not be. Set ``error`` if it is not to be renamed."""
        ...

    def renaming(self) -> tuple[Directory, str, str]:
        """Return the directory, the file's name, and its final one."""
        ...

    def directories(self) -> list[Directory]:
        """Return where the file is, and in which directories those on the way are new."""
        ...

    def end(self) -> None:
        """Take note that nothing more is done."""
        ...


class Installer:
    """One thread, as long as there are files.

    Thread-safety: safe.
    """

    def __init__(self) -> None:
        self._files: queue.SimpleQueue[Installable | None] = queue.SimpleQueue()  # None: do not wait for more
        self._lock = threading.Lock()
        self._runs = False
        self._thread: threading.Thread | None = None

    def submit(self, file: Installable) -> None:
        """Install a file soon, in another thread; or now, if the system allows no further thread."""
        self._files.put(file)
        with self._lock:
            if self._runs:
                return
            self._runs = True
        try:
            self._thread = threading.Thread(target=self._run, name="cdn-install", daemon=True)
            threads.start(self._thread)
        except BaseException as error:
            self._runs = False  # if the thread has started after all, two of them do no harm
            while not self._files.empty():
                _install(self._take(0.0))
            if not isinstance(error, RuntimeError):
                raise

    def rest(self) -> None:
        """End the thread if it has nothing to do: a fork would not take it along."""
        if self._thread is not None and self._thread.is_alive():
            self._files.put(None)
            self._thread.join(_LINGER)

    def _run(self) -> None:
        while True:
            if files := self._take(_LINGER):
                _install(files)
                continue
            with self._lock:
                if self._files.empty():
                    self._runs = False
                    return

    def _take(self, patience: float) -> list[Installable]:
        """Return the files that wait, after some patience if there are none."""
        files: list[Installable] = []
        with contextlib.suppress(queue.Empty):
            file = self._files.get(timeout=patience)
            while file is not None:
                files.append(file)
                if len(files) == _MOST:
                    break
                file = self._files.get_nowait()
        return files


def _install(files: list[Installable]) -> None:
    try:
        for file, failure in zip(files, _disk.sync_all([file.fileno() for file in files]), strict=True):
            file.note_sync(failure)
        synced = [file for file in files if file.error is None]
        for file, failure in zip(synced, replace_all([file.renaming() for file in synced]), strict=True):
            file.error = failure
        _sync_directories([file for file in synced if file.error is None])
    except BaseException:  # Ctrl-C, where this is the main thread
        for file in files:
            file.error = file.error or OSError(errno.EINTR, "the installation was interrupted")
        raise
    finally:
        for file in files:
            file.end()


def _sync_directories(files: list[Installable]) -> None:
    """Sync each directory once."""
    failures: dict[object, Exception | None] = {}
    for file in files:
        for directory in file.directories():
            if directory.identity not in failures:
                failures[directory.identity] = _failure_of(directory)
            file.error = file.error or failures[directory.identity]


def _failure_of(directory: Directory) -> Exception | None:
    try:
        directory.sync()
    except Exception as error:
        return error
    return None


_installer = Installer()  # of this process


def submit(file: Installable) -> None:
    """Install a file soon. Its ``end`` is called then."""
    _installer.submit(file)


def _begin_anew() -> None:
    """Forget the parent's thread, which does not exist in the child."""
    global _installer
    _installer = Installer()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lambda: _installer.rest(), after_in_child=_begin_anew)
