"""A directory with releases: which are here, which one is current, and what is kept beside them."""

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from io import FileIO

from cdn_engine import _disk
from cdn_engine.download.directory import Directory
from cdn_engine.download.own_file import is_foreign
from cdn_engine.file_lock import try_lock, unlock
from cdn_engine.log import log
from cdn_release.errors import ManifestError, ReleaseError, ReleaseMissingError
from cdn_release.manifest import LARGEST, Manifest, is_name

__all__ = ["Place", "sync_directory"]

_OWN = ".cdn-release"
_CURRENT = "current"
_LONGEST_POINTER = 4096  # bytes
_PRIVATE = 0o600

# What file systems without links answer to the wish for one.
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_TICK = 0.1  # seconds between two attempts to get a lock
_SILENCE = 1.0  # seconds of waiting, after which the log says what for


class Place:
    """A directory with releases.

    Args:
        directory: Its path.

    Attributes:
        path: Its absolute path.
        own: The directory in it that is ours.
        objects: Where an install puts the contents that it brings, until it has all.
        staging: Where an install puts the release together.
        removed: Where a release is while it is removed.

    Thread-safety: safe, with the locks that the methods name.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(directory)
        self.own = os.path.join(self.path, _OWN)
        self.objects = os.path.join(self.own, "objects")
        self.staging = os.path.join(self.own, "staging")
        self.removed = os.path.join(self.own, "removed")
        self._link = os.path.join(self.path, _CURRENT)

    def create(self) -> None:
        """Make the directory, and what is ours in it.

        Raises:
            ReleaseError: It is a release itself, or something that is not ours has the name of what is.
        """
        parent, name = os.path.split(os.path.realpath(self.path))
        if os.path.lexists(Place(parent)._manifest(name)):
            raise ReleaseError(f"{self.path!r} is a release: give the directory that it is in, {parent!r}")
        _make(self.path, 0o777)
        _make(self.own, 0o700)
        self.require()
        _make(os.path.join(self.own, "manifests"), 0o777)

    def require(self) -> None:
        """Refuse a directory in which nothing was installed.

        Raises:
            ReleaseMissingError: It is none.
            ReleaseError: Something that is not ours has the name of what is.
        """
        try:
            status = os.lstat(self.own)
        except (FileNotFoundError, NotADirectoryError):
            raise ReleaseMissingError(f"no release was ever installed in {self.path!r}") from None
        if not stat.S_ISDIR(status.st_mode):
            raise ReleaseError(f"{self.own!r} is not the directory that is needed here: move it away")

    def installing(self, pulse: Callable[[], object]) -> AbstractContextManager[None]:
        """Keep other processes from putting a release together here, and from removing any, within the block."""
        return self._locked("installing", pulse)

    def changing(self, pulse: Callable[[], object]) -> AbstractContextManager[None]:
        """Keep other processes from moving ``current`` within the block, which is short."""
        return self._locked("lock", pulse)

    @contextlib.contextmanager
    def _locked(self, name: str, pulse: Callable[[], object]) -> Iterator[None]:
        # With links in it, another user could have us write, and remove, what he may not.
        with contextlib.closing(Directory(self.path)) as directory:
            if is_foreign(directory, os.lstat(self.own)):
                raise ReleaseError(f"{self.own!r} is another user's, and anyone may write beside it: move it away")
        path = os.path.join(self.own, name)
        with FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), _PRIVATE), "r+") as file:
            began, said = time.monotonic(), False
            while not try_lock(file.fileno()):
                if not said and time.monotonic() - began > _SILENCE:
                    said = True
                    log(f"waiting for another process that works in {self.path!r}")
                pulse()
                time.sleep(_TICK)
            try:
                yield
            finally:
                unlock(file.fileno())

    @property
    def keeps_modes(self) -> bool:
        """False on a file system without permissions: FAT, for example."""
        return os.name != "nt" and stat.S_IMODE(os.lstat(os.path.join(self.own, "installing")).st_mode) == _PRIVATE

    def make_objects(self) -> None:
        """Make the directory for contents."""
        if os.path.islink(self.objects):
            os.unlink(self.objects)
        _make(self.objects, 0o777)

    def remove_empty_objects(self) -> None:
        """Remove that directory if there is nothing in it."""
        with contextlib.suppress(OSError):
            os.rmdir(self.objects)

    def release(self, name: str) -> str:
        """Return the path of a release."""
        return os.path.join(self.path, name)

    def names(self) -> list[str]:
        """Return the names of the releases that are here, sorted."""
        return sorted(name for name in self._manifests() if os.path.isdir(self.release(name)))

    def forget_missing(self) -> None:
        """Remove the manifests of releases that are not here: of a prune or an install that was killed."""
        for name in self._manifests():
            if not os.path.lexists(self.release(name)):
                self.forget_manifest(name)

    def _manifests(self) -> list[str]:
        try:
            found = os.listdir(os.path.join(self.own, "manifests"))
        except FileNotFoundError:
            return []
        names = (file.removesuffix(".json") for file in found if file.endswith(".json"))
        return [name for name in names if is_name(name)]

    def content(self, name: str) -> bytes | None:
        """Return the manifest of a release as it was installed; None if it was not installed here."""
        try:
            with open(self._manifest(name), "rb") as file:
                return file.read(LARGEST + 1)
        except FileNotFoundError:
            return None

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest of a release; None if there is none, or it is damaged."""
        content = self.content(name)
        try:
            return None if content is None else Manifest.parse(content, name)
        except ManifestError:
            return None

    def keep_manifest(self, name: str, content: bytes) -> None:
        """Keep the manifest of a release that is about to be here."""
        self.write(self._manifest(name), content)

    def forget_manifest(self, name: str) -> None:
        """Remove the manifest of a release that is not here any more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._manifest(name))

    def current(self) -> str | None:
        """Return the name of the current release; None if there is none.

        Raises:
            ReleaseError: Something that is not ours is in the place of the link.
        """
        try:
            mode = os.lstat(self._link).st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(mode):
            name = os.readlink(self._link)
        elif stat.S_ISREG(mode):
            with open(self._link, encoding="utf-8", errors="replace") as file:
                name = file.read(_LONGEST_POINTER).removesuffix("\n")
        else:
            name = ""
        if not is_name(name):
            raise ReleaseError(f"{self._link!r} does not lead to a release in that directory: move it away")
        return name

    def point_to(self, name: str) -> None:
        """Make a release the current one, in one step. Needs ``changing``."""
        sync_directory(self.path)  # the release, which a killed process may have put there
        new = os.path.join(self.own, _CURRENT)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        try:
            if os.name == "nt":  # where few may make links, and none can be replaced in one step
                raise OSError(errno.EPERM, os.strerror(errno.EPERM))
            os.symlink(name, new)
        except OSError as error:
            if error.errno not in _NO_LINKS or (os.name != "nt" and os.path.islink(self._link)):
                raise
            self.write(new, f"{name}\n".encode())
        os.replace(new, self._link)
        sync_directory(self.path)

    def history(self) -> list[str]:
        """Return the names of the releases that were current, the oldest first, and those that were left again."""
        try:
            with open(os.path.join(self.own, "history"), encoding="utf-8", errors="replace") as file:
                return [name for name in file.read().splitlines() if is_name(name)]
        except FileNotFoundError:
            return []

    def keep_history(self, names: Sequence[str]) -> None:
        """Replace the history. Needs ``changing``."""
        self.write(os.path.join(self.own, "history"), "".join(f"{name}\n" for name in names).encode())

    def write(self, path: str, content: bytes) -> None:
        """Replace a file of ours at once, and be sure that it is on the disk."""
        new = os.path.join(os.path.dirname(path), "new")  # one name, so that kills do not leave more and more
        with open(new, "wb") as file:
            file.write(content)
            file.flush()
            _disk.sync(file.fileno())
        os.replace(new, path)
        sync_directory(os.path.dirname(path))

    def remove_tree(self, path: str) -> None:
        """Remove a directory of ours with all that is in it, if it is there; a link in its place, and only that."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.islink(path):  # somebody has moved a release to another disk
                os.unlink(path)
            else:
                shutil.rmtree(path)

    def _manifest(self, name: str) -> str:
        return os.path.join(self.own, "manifests", f"{name}.json")


def sync_directory(path: str) -> None:
    """Write the entries of a directory to the disk, where the system and the file system can."""
    with contextlib.closing(Directory(path)) as directory:
        directory.sync()


def _make(path: str, mode: int) -> None:
    """Make a directory, and those on the way to it, if they are missing, and be sure that they are on the disk."""
    parent = os.path.dirname(path)
    if os.path.isdir(path) or parent == path:  # on Windows, a drive may be missing
        return
    _make(parent, 0o777)
    with contextlib.suppress(FileExistsError):  # of another process; or of a file, which the next step names
        os.mkdir(path, mode)
    sync_directory(path)
    sync_directory(parent)
