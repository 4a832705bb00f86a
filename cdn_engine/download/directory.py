"""A directory held open, so that what is done in it is done there, whatever becomes of the path that led to it."""

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from typing import Self

from cdn_engine import _disk
from cdn_engine.errors import UnsafePathError

__all__ = ["Directory", "replace_all"]

_CALLS = {os.mkdir, os.open, os.rename, os.rmdir, os.stat, os.unlink}

# Windows has neither; there, everything is done by path.
_HOLDS = hasattr(os, "O_DIRECTORY") and os.supports_dir_fd >= _CALLS
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_OPEN = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _CLOSE_ON_EXEC
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PATH_ONLY = getattr(os, "O_PATH", 0)


class Directory:
    """One open directory. Names are those of entries in it; a link among them is never followed.

    Args:
        path: Its absolute path.
        parent: The directory that holds it, in which the last segment of ``path`` must not be a link. None to follow
            the links in ``path``.

    Raises:
        FileNotFoundError: There is nothing at ``path``.
        NotADirectoryError: Something else is there.
        UnsafePathError: A link is there, and ``parent`` was given.

    Errors of all methods name the whole path.

    Attributes:
        path: Its path.
        identity: What tells it from every other directory.

    Thread-safety: safe, but for ``close``.
    """

    def __init__(self, path: str, parent: "Directory | None" = None) -> None:
        self.path = path
        self.identity: object = path
        self._readable = True
        self._descriptor: int | None = None
        if _HOLDS:
            self._descriptor, self.identity = self._open(path, parent)
        elif not os.path.isdir(path):
            os.listdir(path)  # raises what is wrong
        elif parent is not None and os.path.realpath(path) != os.path.join(os.path.realpath(parent.path), self._name):
            raise UnsafePathError(f"{path!r} has been replaced by a link")

    @property
    def _name(self) -> str:
        return os.path.basename(self.path)

    def _open(self, path: str, parent: "Directory | None") -> tuple[int, object]:
        flags = _OPEN if parent is None else _OPEN | _NO_FOLLOW
        where = os.fsencode(path if parent is None else self._name)
        beside = -1 if parent is None or parent._descriptor is None else parent._descriptor
        try:
            try:
                return _disk.open_directory(beside, where, flags)
            except PermissionError:  # it may be searched and written, but not read: it can be used, but not be synced
                if not _PATH_ONLY:
                    raise
                self._readable = False
                return _disk.open_directory(beside, where, flags | _PATH_ONLY)
        except OSError as error:
            if parent is not None and stat.S_ISLNK(parent.stat(self._name).st_mode):
                raise UnsafePathError(f"{path!r} has been replaced by a link") from None
            raise OSError(error.errno, error.strerror, path) from None

    def child(self, name: str) -> Self:
        """Open a directory in this one, which must not be a link."""
        return type(self)(os.path.join(self.path, name), self)

    def status(self) -> os.stat_result:
        """Return the status of the directory itself."""
        return os.stat(self.path if self._descriptor is None else self._descriptor)

    def stat(self, name: str) -> os.stat_result:
        """Return the status of an entry, of a link itself."""
        try:
            return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        except OSError as error:
            raise self._named(error, name) from None

    def has(self, name: str) -> bool:
        """Return True if there is an entry of this name."""
        try:
            os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._named(error, name) from None
        return True

    def has_any(self, names: Iterable[str]) -> bool:
        """Return False if there is certainly no entry of these names."""
        if self._descriptor is None:
            return any(map(self.has, names))
        return _disk.has_any(self._descriptor, [os.fsencode(name) for name in names])

    def attributes(self, name: str) -> int:
        """Return what ``_disk.attributes`` says of an entry, or of the directory itself if the name is empty."""
        return 0 if self._descriptor is None else _disk.attributes(self._descriptor, os.fsencode(name))

    def open_file(self, name: str, flags: int) -> int:
        """Open a file, with the permissions of a plain ``open()`` if it is new. Return its descriptor."""
        try:
            return os.open(self._at(name), flags | _NO_FOLLOW | _CLOSE_ON_EXEC, 0o666, dir_fd=self._descriptor)
        except OSError as error:
            raise self._named(error, name) from None

    def create_locked(self, name: str, flags: int) -> int:
        """Create a file as ``open_file`` does, and lock it. Return its descriptor.

        Raises:
            OSError: There is something of this name, the file cannot be locked, or the system cannot do this.
        """
        if self._descriptor is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), self.join(name))
        return _disk.create_locked(self._descriptor, os.fsencode(name), flags | _NO_FOLLOW | _CLOSE_ON_EXEC)

    def make(self, name: str) -> None:
        """Make a directory."""
        try:
            os.mkdir(self._at(name), dir_fd=self._descriptor)
        except OSError as error:
            raise self._named(error, name) from None

    def remove(self, name: str) -> None:
        """Remove an empty directory."""
        try:
            os.rmdir(self._at(name), dir_fd=self._descriptor)
        except OSError as error:
            raise self._named(error, name) from None

    def unlink(self, name: str) -> None:
        """Remove a file or link."""
        try:
            os.unlink(self._at(name), dir_fd=self._descriptor)
        except OSError as error:
            raise self._named(error, name) from None

    def replace(self, source: str, name: str) -> None:
        """Rename ``source`` to ``name``, replacing what has that name."""
        try:
            os.replace(self._at(source), self._at(name), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError as error:
            raise self._named(error, name) from None

    def sync(self) -> None:
        """Write the entries to the disk, where the system and the file system can."""
        if self._descriptor is None or not self._readable:
            return
        try:
            _disk.sync(self._descriptor)
        except OSError as error:
            if error.errno not in _disk.NOT_SUPPORTED:
                raise OSError(error.errno, error.strerror, self.path) from None

    def close(self) -> None:
        """Let go of the directory. Later calls fail."""
        descriptor, self._descriptor = self._descriptor, None if self._descriptor is None else -1
        if descriptor is not None and descriptor >= 0:
            os.close(descriptor)

    def join(self, name: str) -> str:
        """Return the path of an entry."""
        return os.path.join(self.path, name)

    def _at(self, name: str) -> str:
        return self.join(name) if self._descriptor is None else name

    def _named(self, error: OSError, name: str) -> OSError:
        """Return the error with the whole path of an entry, and no second one."""
        return OSError(error.errno, error.strerror, self.join(name))


def replace_all(renames: Sequence[tuple[Directory, str, str]]) -> list[OSError | None]:
    """Do what ``Directory.replace`` does for several files, each in its directory.

    Args:
        renames: For each file the directory, which the system holds open, the old name and the new one.

    Returns:
        For each file what ``replace`` would raise; None if it has its new name.
    """
    failures = _disk.rename_all([
        (directory._descriptor, os.fsencode(source), os.fsencode(name))  # type: ignore[misc]
        for directory, source, name in renames
    ])
    return [
        failure and directory._named(failure, name)
        for failure, (directory, _, name) in zip(failures, renames, strict=True)
    ]
