"""The way to a download's directory: walks it without following links, makes what is missing, and removes it again."""

import contextlib
import errno
import os
import threading
import weakref
from typing import NoReturn

from cdn_engine.download.directory import Directory
from cdn_engine.paths import Target

__all__ = ["Folder"]

# How often a directory that another process removes at once is made again.
_ATTEMPTS = 100

# The directories that downloads of this process have made, and who is in each. The last one to leave removes it if it
# is empty, so that downloads that fail side by side leave nothing behind. Weak: Ctrl-C may keep one from leaving.
_made: dict[str, "weakref.WeakSet[Folder]"] = {}
_guard = threading.Lock()


def _forget() -> None:
    """Forget, in a forked child, what is the parent's to remove."""
    global _guard
    _guard = threading.Lock()
    _made.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Folder:
    """The directory of a target, between ``enter`` and ``leave``.

    Args:
        target: The target. Its base is followed, and nothing below.

    Thread-safety: for one thread at a time.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open: Directory | None = None
        self._new: list[tuple[Directory, str]] = []  # directories on the way that this process has made: parent, name

    @property
    def directory(self) -> Directory:
        """The open directory.

        Raises:
            FileNotFoundError: ``enter`` was not called, or ``leave`` was.
        """
        if self._open is None:
            raise FileNotFoundError(errno.ENOENT, "this directory is not open", self._target.folder)
        return self._open

    @property
    def is_entered(self) -> bool:
        return self._open is not None

    def enter(self, create: bool = True) -> None:
        """Open the directory.

        Args:
            create: Make what is missing on the way.

        Raises:
            FileNotFoundError: Something is missing, and ``create`` is False.
            NotADirectoryError: A file is in the way; the error names it.
            UnsafePathError: A directory below the base has been replaced by a link.
            OSError: A directory cannot be opened or made.
        """
        for attempt in range(_ATTEMPTS):
            try:
                self._walk(create)
            except FileNotFoundError:  # if it is not missing, another process has just removed what it had made
                self.leave()
                if not create or attempt == _ATTEMPTS - 1:
                    raise
            except BaseException:
                self.leave()
                raise
            else:
                return

    def leave(self) -> None:
        """Close the directory, and remove those that this process has made and in which nothing is left."""
        if self._open is not None:
            self._open.close()
            self._open = None
        while self._new:
            parent, name = self._new[-1]  # not taken off before all is done, for the call that Ctrl-C makes necessary
            path = parent.join(name)
            with _guard:
                users = _made.get(path)
                if users is not None:
                    users.discard(self)
                    if not users:
                        with contextlib.suppress(OSError):
                            parent.remove(name)
                        del _made[path]
            parent.close()
            self._new.pop()

    def abandon(self) -> None:
        """Close the directory in a forked child, and leave everything to the parent."""
        while self._new:
            self._new.pop()[0].close()
        if self._open is not None:
            self._open.close()

    def sync(self) -> None:
        """Write the directory's entries to the disk, and those of new directories on the way.

        Raises:
            OSError: They may be lost; the error names the directory.
        """
        for directory in self.to_sync():
            directory.sync()
        self.settle()

    def to_sync(self) -> list[Directory]:
        """Return what ``sync`` syncs, for those who do that for several files at once, and then call ``settle``."""
        return [self.directory, *(parent for parent, _ in reversed(self._new))]

    def settle(self) -> None:
        """Take note that there is a file in the directory, and on the disk: those on the way are no longer new."""
        with _guard:
            for parent, name in self._new:
                _made.pop(parent.join(name), None)

    def _walk(self, create: bool) -> None:
        self._open, names = self._nearest(create)
        for name in [*names, *self._target.segments]:
            parent, self._open = self._open, self._step(self._open, name, create)
            if not self._new or self._new[-1][0] is not parent:
                parent.close()

    def _nearest(self, create: bool) -> tuple[Directory, list[str]]:
        """Open the nearest directory that this process has not made. Return it and the names from there to the base."""
        path, names = self._target.base, list[str]()
        while True:
            try:
                directory = Directory(path)
                with _guard:
                    if path not in _made:
                        return directory, names
                directory.close()
            except FileNotFoundError:
                if not create or path == os.path.dirname(path):
                    raise
            except NotADirectoryError:
                _name_what_is_in_the_way(path)
            path, name = os.path.split(path)
            names.insert(0, name)

    def _step(self, parent: Directory, name: str, create: bool) -> Directory:
        path = parent.join(name)
        with _guard:
            try:
                child = parent.child(name)
            except NotADirectoryError:
                _name_what_is_in_the_way(path)
            except FileNotFoundError:
                if not create:
                    raise
                child = None
                _made.setdefault(path, weakref.WeakSet())
            if path in _made:
                _made[path].add(self)
                self._new.append((parent, name))
            if child is None:
                with contextlib.suppress(FileExistsError):  # another process was faster
                    parent.make(name)
                child = parent.child(name)
        return child


def _name_what_is_in_the_way(path: str) -> NoReturn:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    reason = "this file has the name of a directory that is needed: remove it, or choose another path"
    raise NotADirectoryError(errno.ENOTDIR, reason, path)
