"""Puts a release together beside its final place: finds out whether the file system can hold it, then fills it."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from cdn_engine import _disk
from cdn_release.content import fold
from cdn_release.errors import ReleaseDoesNotFitError
from cdn_release.manifest import FileEntry, Manifest
from cdn_release.place import Place, sync_directory

__all__ = ["Source", "Staging"]

_SYNCED_AT_ONCE = 64  # files; as many are open

# What a file system says of a name that it cannot hold.
_IMPOSSIBLE_NAMES = {errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.ENOENT}

_FULL = {errno.ENOSPC, errno.EDQUOT}

_WINDOWS = os.name == "nt"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class Source(NamedTuple):
    """Where a content is on this machine.

    Attributes:
        path: A file with it.
        is_ours: It is in no release, and can be moved.
    """

    path: str
    is_ours: bool


class Staging:
    """The tree of a release that is being installed.

    Args:
        place: The directory with releases. ``installing`` is held.
        manifest: The release.

    Thread-safety: for one thread.
    """

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self._place = place
        self._manifest = manifest
        self._root = place.staging
        self._left: dict[str, int] = {}  # how many files are still to be made of each content
        for file in manifest.files:
            self._left[file.sha256] = self._left.get(file.sha256, 0) + 1

    def lay_out(self) -> None:
        """Make the tree with empty files. Only this finds out for certain which names are one here.

        Raises:
            ReleaseDoesNotFitError: Two names are one, a name is impossible, or there is no room for so many files.
        """
        made: set[str] = set()
        os.mkdir(self._root)
        for file in self._manifest.files:
            try:
                self._make_directories(file.path, made)
                os.close(os.open(self._path(file), _NEW, 0o600))
            except FileExistsError:
                raise ReleaseDoesNotFitError(self._twins(file)) from None
            except OSError as error:
                if error.errno in _FULL:
                    reason = f"there is no room in {self._place.path!r} for its {len(self._manifest.files)} files"
                    raise ReleaseDoesNotFitError(f"{reason}: {error.strerror}") from error
                if error.errno in _IMPOSSIBLE_NAMES:
                    reason = f"the file system of {self._place.path!r} cannot hold {file.path!r}"
                    raise ReleaseDoesNotFitError(f"{reason}: {error.strerror}") from error
                raise

    def extra_space(self, sources: dict[str, Source]) -> int:
        """Return the bytes that it takes to fill the tree beside what is to be fetched: for what has to be copied.

        Args:
            sources: Where contents are, by digest; those that are missing here will be fetched.
        """
        can_link, left, size = self._can_link(), dict(self._left), 0
        for file in self._manifest.files:
            left[file.sha256] -= 1
            source = sources.get(file.sha256)
            moves = not left[file.sha256] and (source is None or source.is_ours)
            links = can_link and (source is None or _mode(os.lstat(source.path)) == file.mode)
            size += 0 if moves or links else file.size
        return size

    def fill(self, sources: dict[str, Source], pulse: Callable[[], object]) -> None:
        """Bring the contents into the tree, and all of it to the disk.

        Args:
            sources: Where the contents are, by digest.
            pulse: Called again and again. An exception in it ends the work.
        """
        for file in self._manifest.files:
            pulse()
            self._left[file.sha256] -= 1
            self._bring(file, sources[file.sha256], is_last=not self._left[file.sha256])
        for start in range(0, len(self._manifest.files), _SYNCED_AT_ONCE):
            pulse()
            self._settle(self._manifest.files[start:start + _SYNCED_AT_ONCE])
        for folder, _, _ in os.walk(self._root, topdown=False):
            sync_directory(folder)

    def take_apart(self, files: Iterable[FileEntry]) -> None:
        """Bring back what an interrupted install had put in the tree, and remove that.

        Args:
            files: What it was to contain.
        """
        for file in files:
            path, content = self._path(file), os.path.join(self._place.objects, file.sha256)
            with contextlib.suppress(OSError):  # then it is fetched again
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode) and status.st_size == file.size > 0 and not os.path.lexists(content):
                    os.replace(path, content)
        self._place.remove_tree(self._root)

    def _path(self, file: FileEntry) -> str:
        return os.path.join(self._root, *file.path.split("/"))

    def _make_directories(self, path: str, made: set[str]) -> None:
        for way in _ways(path):
            folder = os.path.join(self._root, *way.split("/"))
            if way != path and folder not in made:
                os.mkdir(folder)
                made.add(folder)

    def _twins(self, file: FileEntry) -> str:
        where = f"on the file system of {self._place.path!r}"
        for other in self._manifest.files:
            for one, two in zip(_ways(other.path), _ways(file.path), strict=False):
                if one != two and fold(one) == fold(two):
                    return f"{one!r} and {two!r} are one name {where}"
        return f"{file.path!r} has the name of another file of it {where}"

    def _can_link(self) -> bool:
        """Return True if the file system has links. Tried with one of the empty files."""
        path = os.path.join(self._place.own, "link")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        try:
            os.link(self._path(self._manifest.files[0]), path)
        except OSError:
            return False
        os.unlink(path)
        return True

    def _bring(self, file: FileEntry, source: Source, is_last: bool) -> None:
        path, status = self._path(file), os.lstat(source.path)
        is_alone = source.is_ours and status.st_nlink == 1
        is_fit = _mode(status) == file.mode
        if is_last and source.is_ours and (is_fit or is_alone):
            os.replace(source.path, path)
            return
        if is_alone and file.mode & stat.S_IRUSR:
            _change_mode(source.path, file.mode)
            is_fit = True
        if is_fit:
            os.unlink(path)
            with contextlib.suppress(OSError):  # no links, or too many of this file
                os.link(source.path, path, follow_symlinks=False)
                return
        shutil.copyfile(source.path, path, follow_symlinks=False)

    def _settle(self, files: Sequence[FileEntry]) -> None:
        """Give files their permissions, and bring them to the disk."""
        with contextlib.ExitStack() as opened:
            descriptors = []
            for file in files:
                descriptor = os.open(self._path(file), os.O_RDWR if _WINDOWS else os.O_RDONLY)
                opened.callback(os.close, descriptor)
                descriptors.append(descriptor)
                if _mode(os.fstat(descriptor)) != file.mode:
                    _change_mode(descriptor, file.mode)
            failures = _disk.sync_all(descriptors)
        lost = [(file, failure) for file, failure in zip(files, failures, strict=True) if failure is not None]
        if lost:
            self._drop({file.sha256 for file, _ in lost})
            first, failure = lost[0]
            raise OSError(failure.errno, failure.strerror, self._path(first))

    def _drop(self, digests: set[str]) -> None:
        """Remove contents that did not reach the disk. Asked again, the system would say that they did."""
        for file in self._manifest.files:
            if file.sha256 in digests:
                os.unlink(self._path(file))


def _ways(path: str) -> Iterator[str]:
    """Yield the directories on the way to a file, and its own path."""
    names = path.split("/")
    return ("/".join(names[:end]) for end in range(1, len(names) + 1))


def _mode(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) & 0o777


def _change_mode(file: str | int, mode: int) -> None:
    if _WINDOWS:  # all it has is a mark that forbids writing, and also removing
        return
    with contextlib.suppress(PermissionError):  # of file systems that keep no permissions
        os.chmod(file, mode)
