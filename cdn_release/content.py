"""The files of a directory that is to be a release, and what is in them."""

import hashlib
import io
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator

from cdn_engine.errors import explain
from cdn_engine.log import log
from cdn_engine.paths import objection_to_key
from cdn_manager import ObjectChangedError
from cdn_release.errors import ReleaseError
from cdn_release.manifest import MOST_FILES, FileEntry

__all__ = ["READ_AT_ONCE", "digest_of", "entry_of", "find_files", "fold"]

READ_AT_ONCE = 2  # files: while one waits for the disk, the other is hashed

_BLOCK = 1 << 20  # bytes
_MOST_NAMED = 10  # problems in one message


def find_files(directory: str) -> list[tuple[str, str]]:
    """Return the relative path, with ``/`` between names, and the path of each file, hidden ones too.

    Raises:
        ReleaseError: Some of it cannot be published, or there is nothing.
        OSError: The directory cannot be read.
    """
    os.listdir(directory)  # raises what is wrong
    problems: list[str] = []
    found = sorted(_walk(directory, problems))
    if not found and not problems:
        problems.append("it contains no file")
    if len(found) > MOST_FILES:
        problems.append(f"it contains {len(found)} files; a release has at most {MOST_FILES}")
    if problems:
        more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
        raise ReleaseError(f"{directory!r} cannot be published: {'; '.join(problems[:_MOST_NAMED])}{more}")
    _warn_of_twins([path for path, _ in found])
    return found


def _walk(directory: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    for parent, folders, names in os.walk(directory, onerror=lambda error: problems.append(explain(error))):
        below = os.path.relpath(parent, directory).replace(os.sep, "/")
        relative = "" if below == os.curdir else f"{below}/"
        for name in list(folders):
            is_link = os.path.islink(os.path.join(parent, name))
            if problem := "it is a link to a directory" if is_link else objection_to_key(name):
                problems.append(f"{relative + name!r}: {problem}")
                folders.remove(name)
        for name in names:
            path, file = relative + name, os.path.join(parent, name)
            if problem := objection_to_key(path) or _objection(file):
                problems.append(f"{path!r}: {problem}")
            else:
                yield path, file


def _objection(file: str) -> str | None:
    try:
        status = os.stat(file)
    except OSError as error:
        return error.strerror
    if not stat.S_ISREG(status.st_mode):
        return "it is neither a file nor a directory"
    return None if os.access(file, os.R_OK) else "permission denied"


def _warn_of_twins(paths: list[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        if (twin := seen.setdefault(fold(path), path)) != path:
            log(f"{twin!r} and {path!r} are one name on some file systems: machines that have one cannot install this")


def fold(path: str) -> str:
    """Return what is equal for paths that are one on some file system: but for case, or for the form of accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def entry_of(path: str, file: str, pulse: Callable[[int], object]) -> FileEntry:
    """Read a file, and return its entry in the manifest.

    Args:
        path: Its path in the release.
        file: Where it is.
        pulse: Called with the size of each block that was read. An exception in it ends the reading.

    Raises:
        ObjectChangedError: Its size changed meanwhile.
    """
    with open(file, "rb", buffering=0) as opened:
        status = os.fstat(opened.fileno())
        sha256, size = _digest(opened, pulse)
    if size != status.st_size:
        raise ObjectChangedError(f"{file!r} changed while it was read: publish it when nothing writes to it")
    # Windows has no permission bits that say anything.
    mode = 0o644 if os.name == "nt" else stat.S_IMODE(status.st_mode) & 0o777
    return FileEntry(path, size, sha256, mode)


def digest_of(file: str, pulse: Callable[[int], object]) -> str | None:
    """Return the SHA-256 of a file in hex; None if it is no file, or a link.

    Raises:
        OSError: It cannot be read.
    """
    with open(file, "rb", buffering=0, opener=_no_follow) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return None
        return _digest(opened, pulse)[0]


def _digest(opened: io.FileIO, pulse: Callable[[int], object]) -> tuple[str, int]:
    sha256, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_BLOCK))
    while count := opened.readinto(buffer):
        sha256.update(buffer[:count])
        size += count
        pulse(count)
    return sha256.hexdigest(), size


def _no_follow(path: str, flags: int) -> int:
    """Open a file and no link, and do not wait for the other end of a pipe: an opener for ``open``."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
