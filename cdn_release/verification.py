"""Compares an installed release with what was installed, without the store."""

import os
import stat
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from cdn_engine.phases import COMPARING
from cdn_engine.sha256 import parse_sha256
from cdn_release.account import Account
from cdn_release.content import READ_AT_ONCE, digest_of
from cdn_release.errors import ManifestError, ReleaseMissingError
from cdn_release.manifest import FileEntry, Manifest, is_name
from cdn_release.place import Place
from cdn_release.workers import Report, work_on

__all__ = ["Problem", "Verification", "look_at", "verify"]

_What: TypeAlias = Literal["missing", "differs", "mode", "extra", "unreadable"]


class Problem(NamedTuple):
    """What is wrong with a file.

    Attributes:
        path: Its path in the release.
        what: ``missing``; ``differs`` from what was installed; ``mode``, if only its permissions do; ``extra``, if the
            release has no such file; or ``unreadable``.
    """

    path: str
    what: _What


class Verification(NamedTuple):
    """What a comparison has found.

    Attributes:
        name: The release's name.
        sha256: Its identity.
        files: How many files it has.
        size: Their bytes.
        problems: What is wrong, sorted by path.
    """

    name: str
    sha256: str
    files: int
    size: int
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """True if nothing is wrong."""
        return not self.problems


def verify(
    path: str | os.PathLike[str], *, sha256: str | None = None, progress: Callable[[int], object] | None = None
) -> Verification:
    """Read an installed release, and compare it with its manifest.

    Args:
        path: Its directory, as ``install`` has made it; or ``current`` beside it.
        sha256: The identity that it must have, in hex; None for any.
        progress: Called in the calling thread, with the bytes of files that were found to be right; its method
            ``phase``, if it has one, as by ``CDNManager.fetch``.

    Raises:
        ReleaseMissingError: That is no installed release.
        ManifestError: Its manifest is damaged, or not the one that ``sha256`` is of.
        ValueError: ``sha256`` is not the hex form of a SHA-256.

    Thread-safety: safe. A release that is removed meanwhile has missing files.
    """
    pinned = parse_sha256(sha256)
    directory, name = os.path.split(os.path.abspath(path))
    place = Place(directory)
    place.require()
    if name == "current":
        name = place.current() or name
    content = place.content(name) if is_name(name) else None
    if content is None or not os.path.isdir(place.release(name)):
        raise ReleaseMissingError(f"{os.fspath(path)!r} is no installed release")
    manifest = Manifest.parse(content, name)
    if pinned not in (None, manifest.sha256):
        raise ManifestError(f"{os.fspath(path)!r} is the release {manifest.sha256}, and not {pinned}")
    problems = _problems(place, manifest, Account(progress))
    return Verification(name, manifest.sha256, len(manifest.files), manifest.size, tuple(sorted(problems)))


def look_at(root: str, file: FileEntry, keeps_modes: bool) -> _What | None:
    """Return what is wrong with a file of a release, as far as one can see without reading it; None if nothing is.

    Args:
        root: The release's directory.
        file: The file.
        keeps_modes: False to accept all permissions.
    """
    try:
        status = os.lstat(os.path.join(root, *file.path.split("/")))
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:
        return "unreadable"
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        return "differs"
    return "mode" if keeps_modes and stat.S_IMODE(status.st_mode) & 0o777 != file.mode else None


def _problems(place: Place, manifest: Manifest, account: Account) -> list[Problem]:
    root, keeps_modes = place.release(manifest.name), place.keeps_modes
    account.size = manifest.size
    account.enter(COMPARING)

    def compare(file: FileEntry, report: Report) -> _What | None:
        problem = look_at(root, file, keeps_modes)
        if problem not in (None, "mode"):
            return problem
        try:
            is_right = digest_of(os.path.join(root, *file.path.split("/")), report) == file.sha256
        except OSError:
            return "unreadable"
        return problem if is_right else "differs"

    found = work_on(manifest.files, compare, READ_AT_ONCE, account.read)
    problems = [Problem(file.path, what) for file, what in zip(manifest.files, found, strict=True) if what is not None]
    account.move(sum(file.size for file, what in zip(manifest.files, found, strict=True) if what is None), True)
    return problems + [Problem(path, "extra") for path in _extra(root, {file.path for file in manifest.files})]


def _extra(root: str, paths: set[str]) -> list[str]:
    """Return the paths of files, and of links to directories, that a release does not have."""
    extra = []
    for parent, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in names + links:
            path = os.path.relpath(os.path.join(parent, name), root).replace(os.sep, "/")
            if path not in paths:
                extra.append(path)
    return extra
