"""Gives small files their final names, many at a time: a sync takes the disk as long for several files as for one."""

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Callable
from typing import Protocol

from cdn_engine import threads
from cdn_engine.download.directory import Directory

__all__ = ["Installable", "submit"]

_LINGER = 0.2  # seconds that the thread waits for more files before it ends
_MOST = 64  # files at a time


class Installable(Protocol):
    """A file that has been written, and is to be installed. Its methods are called in the installer's thread.

    Attributes:
        error: Why it is not installed; None if it is, or may be yet.
    """

    error: Exception | None

    def begin_sync(self) -> None:
        """Let the system begin to write the data to the disk."""
        ...

    def sync(self) -> None:
        """Wait until the data is on the disk."""
        ...

    def rename(self) -> None:
        """Give the file its final name."""
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
        if len(files) > 1:
            for file in files:
                file.begin_sync()
        for step in ("sync", "rename"):
            for file in files:
                if file.error is None:
                    file.error = _failure_of(getattr(file, step))
        _sync_directories([file for file in files if file.error is None])
    except BaseException:  # Ctrl-C, where this is the main thread
        for file in files:
            file.error = file.error or OSError(errno.EINTR, "the installation was interrupted")
        raise
    finally:
        for file in files:
            file.end()


def _sync_directories(files: list[Installable]) -> None:
    """Sync each directory once."""
    failures: dict[tuple[int, int], Exception | None] = {}
    for file in files:
        for directory in file.directories():
            found = directory.status()
            place = found.st_dev, found.st_ino
            if place not in failures:
                failures[place] = _failure_of(directory.sync)
            file.error = file.error or failures[place]


def _failure_of(step: Callable[[], object]) -> Exception | None:
    try:
        step()
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
