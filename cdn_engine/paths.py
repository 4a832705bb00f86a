"""Where on disk an object may land.

An object's key is data from the network. It is checked by the rules of POSIX and of Windows on every system, so that a
key that is safe on the publisher's machine cannot do harm on another (CVE-2022-31159, GHSA-7p4m-qxvv-g567,
CVE-2026-15717).
"""

import errno
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import Self

from cdn_engine.errors import UnsafePathError

__all__ = ["RESERVED_PREFIX", "Target", "check_key", "local_path", "objection_to_key", "path_below"]

# Unfinished downloads keep their files under names that begin like this.
RESERVED_PREFIX = ".cdn-"

# NAME_MAX of every common file system, in bytes.
_NAME_MAX = 255

# "/" and "\\" separate directories, ":" starts a drive or an NTFS stream: dangerous somewhere, so refused everywhere.
_DANGEROUS = frozenset("/\\:")

# A name with one of these cannot exist on Windows, and does no harm elsewhere.
_IMPOSSIBLE_ON_WINDOWS = frozenset('<>"|?*')

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: reserved with an extension too.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])[ ]*(\..*)?", re.IGNORECASE | re.DOTALL
)

_WINDOWS = os.name == "nt"


@dataclass(frozen=True)
class Target(os.PathLike[str]):
    """The file that a download makes, below a directory that is trusted.

    Attributes:
        base: Absolute path of the directory. Links in it are followed; it need not exist.
        segments: The directories below it that lead to the file. A link among them is never followed.
        name: The file's own name. A link of this name is replaced.

    Thread-safety: immutable.
    """

    base: str
    segments: tuple[str, ...]
    name: str

    @classmethod
    def of(cls, path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Self:
        """Return the target that a path names; the caller answers for the whole directory part.

        Args:
            path: A ``Target``, which is returned as it is, or a ``str``, ``bytes`` or path-like object.

        Raises:
            IsADirectoryError: It ends with a separator or with a dot segment.
        """
        if isinstance(path, cls):
            return path
        text = os.fsdecode(path)
        if os.path.basename(text) in ("", os.curdir, os.pardir):
            raise IsADirectoryError(errno.EISDIR, "the path names a directory: add the name of the file", text)
        base, name = os.path.split(os.path.abspath(text))
        return cls(base, (), name)

    @property
    def folder(self) -> str:
        """The absolute path of the file's directory."""
        return os.path.join(self.base, *self.segments)

    def __fspath__(self) -> str:
        return os.path.join(self.folder, self.name)


def _objection(name: str, windows: bool) -> str | None:
    """Return why ``name`` cannot name a file or directory; None if it can."""
    if not name:
        return "it has an empty path segment"
    if name in (".", ".."):
        return f"it has the path segment {name!r}"
    for character in name:
        if character in _DANGEROUS or (windows and character in _IMPOSSIBLE_ON_WINDOWS):
            return f"it contains {character!r}"
        category = unicodedata.category(character)
        if category == "Cc":
            return f"it contains the control character {character!r}"
        if category == "Cs":  # how Python reads a byte of a file name that is no UTF-8
            return f"it is not valid UTF-8 at {character!r}"
    if name[-1] in ". ":
        return f"{name!r} ends with a dot or a space"
    if _DEVICE.fullmatch(name):
        return f"{name!r} is the name of a Windows device"
    if len(name.encode()) > _NAME_MAX:
        return f"a path segment is longer than {_NAME_MAX} bytes"
    if name.casefold().startswith(RESERVED_PREFIX):
        return f"{name!r} begins with {RESERVED_PREFIX!r}, which is reserved for unfinished downloads"
    return None


def objection_to_key(key: str, windows: bool = _WINDOWS) -> str | None:
    """Return why no download could give a file the name of this key; None if one could.

    Args:
        key: The object's key; ``/`` separates directories.
        windows: True to refuse also what is harmless and cannot exist on Windows.

    Thread-safety: safe.
    """
    return next(filter(None, (_objection(segment, windows) for segment in key.split("/"))), None)


def check_key(bucket: str, key: str) -> None:
    """Refuse to store an object that no download could fetch.

    Raises:
        UnsafePathError: The key breaks a rule.

    Thread-safety: safe.
    """
    problem = objection_to_key(key)
    if problem is not None:
        raise _refusal(f"{bucket}/{key}", f"no machine could download this key to its own name: {problem}")


def local_path(folder: str, key: str, root: str | None = None) -> Target:
    """Return the target ``folder/key``, provided it lies below ``folder``.

    Args:
        folder: A directory in the working directory, named like the bucket. It may be a symbolic link and need not
            exist.
        key: The object's key.
        root: ``os.path.realpath(folder)``, if it is known.

    Returns:
        The target, with the links in its directories resolved.

    Raises:
        UnsafePathError: The folder or the key breaks a rule, or a link below the folder leads out of it.

    Thread-safety: safe; nothing is created.
    """
    problem = _objection(folder, _WINDOWS)
    if problem is not None:
        raise _refusal(f"{folder}/{key}", f"the folder cannot be a directory in the working directory: {problem}")
    return _below(folder, key, f"{folder}/{key}", root)


def path_below(base: str, key: str, root: str | None = None) -> Target:
    """Return the target ``base/key``, provided it lies below ``base``.

    Args:
        base: Any directory. It is the operator's choice, never a name from the network. It may be a symbolic link and
            need not exist.
        key: The object's key.
        root: ``os.path.realpath(base)``, if it is known.

    Returns:
        The target, with the links in its directories resolved.

    Raises:
        UnsafePathError: The key breaks a rule, or a link below the base leads out of it.

    Thread-safety: safe; nothing is created. A directory that is replaced by a link later is not followed.
    """
    return _below(base, key, key, root)


def _below(base: str, key: str, subject: str, root: str | None) -> Target:
    problem = objection_to_key(key)
    if problem is not None:
        advice = "--output FILE, or fetch(path=...) in Python, downloads it under a name of your choice"
        raise _refusal(subject, f"the key cannot be a path below {base!r}: {problem}; {advice}")
    *directories, name = key.split("/")
    root = root or os.path.realpath(base)
    # Without a link on the way there is nothing to resolve; on Windows, other things than links lead elsewhere.
    ways = (os.path.join(root, *directories[:end]) for end in range(1, len(directories) + 1))
    if not _WINDOWS and not any(map(os.path.islink, ways)):
        return Target(root, tuple(directories), name)
    parent = os.path.realpath(os.path.join(root, *directories))
    if os.path.commonpath([root, parent]) != root:
        raise _refusal(subject, f"the key leads out of {base!r}: a link on the way points to {parent!r}")
    below = os.path.relpath(parent, root)
    return Target(root, () if below == os.curdir else tuple(below.split(os.sep)), name)


def _refusal(subject: str, text: str) -> UnsafePathError:
    error = UnsafePathError(text)
    error.subject = subject
    return error
