"""Where on disk an object may land.

An object's key is data from the network. It is checked by the rules of POSIX and of Windows on every system, so that a
key that is safe on the publisher's machine cannot do harm on another (CVE-2022-31159, GHSA-7p4m-qxvv-g567,
CVE-2026-15717).
"""

import os
import re
import unicodedata

from cdn_engine.errors import UnsafePathError

__all__ = ["RESERVED_PREFIX", "local_path", "path_below"]

# Unfinished downloads keep their files under names that begin like this.
RESERVED_PREFIX = ".cdn-"

# NAME_MAX of every common file system, in bytes.
_NAME_MAX = 255

# "/" and "\\" separate directories, ":" starts a drive or an NTFS stream, the others are invalid on Windows.
_FORBIDDEN = frozenset('/\\:<>"|?*')

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: reserved with an extension too.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])[ ]*(\..*)?", re.IGNORECASE | re.DOTALL
)


def _objection(name: str) -> str | None:
    """Return why ``name`` cannot name a file or directory; None if it can."""
    if not name:
        return "it has an empty path segment"
    if name in (".", ".."):
        return f"it has the path segment {name!r}"
    for character in name:
        if character in _FORBIDDEN:
            return f"it contains {character!r}"
        if unicodedata.category(character) in ("Cc", "Cs"):
            return f"it contains the control character {character!r}"
    if name[-1] in ". ":
        return f"{name!r} ends with a dot or a space"
    if _DEVICE.fullmatch(name):
        return f"{name!r} is the name of a Windows device"
    if len(name.encode()) > _NAME_MAX:
        return f"a path segment is longer than {_NAME_MAX} bytes"
    if name.casefold().startswith(RESERVED_PREFIX):
        return f"{name!r} begins with {RESERVED_PREFIX!r}, which is reserved for unfinished downloads"
    return None


def local_path(folder: str, key: str) -> str:
    """Return the absolute path of ``folder/key``, provided it lies below ``folder``.

    Args:
        folder: A directory in the working directory, named like the bucket. It may be a symbolic link and need not
            exist.
        key: The object's key; ``/`` separates directories.

    Returns:
        The path with the links in its directories resolved. Its last segment may itself be a link, which must not be
        followed.

    Raises:
        UnsafePathError: The folder or the key breaks a rule, or a link below the folder leads out of it.

    Thread-safety: safe; nothing is created.
    """
    problem = _objection(folder)
    if problem is not None:
        raise UnsafePathError(f"folder {folder!r} cannot be a directory in the working directory: {problem}")
    return path_below(folder, key)


def path_below(base: str, key: str) -> str:
    """Return the absolute path of ``base/key``, provided it lies below ``base``.

    Args:
        base: Any directory. It is the operator's choice, never a name from the network. It may be a symbolic link and
            need not exist.
        key: The object's key; ``/`` separates directories.

    Returns:
        The path with the links in ``base`` resolved.

    Raises:
        UnsafePathError: The key breaks a rule, or a link below the base leads out of it.

    Thread-safety: safe; nothing is created.
    """
    segments = key.split("/")
    for segment in segments:
        problem = _objection(segment)
        if problem is not None:
            raise UnsafePathError(
                f"key {key!r} cannot be a path below {base!r}: {problem}; "
                "in Python, fetch(path=...) downloads it under a name of your choice"
            )
    root = os.path.realpath(base)
    parent = os.path.realpath(os.path.join(root, *segments[:-1]))
    if os.path.commonpath([root, parent]) != root:
        raise UnsafePathError(f"key {key!r} leads out of {base!r}: a link on the way points to {parent!r}")
    return os.path.join(parent, segments[-1])
