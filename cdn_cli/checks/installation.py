"""Tests what this machine itself brings: the installed modules and the disk."""

import os
import re
import shutil
from importlib.metadata import Distribution, distributions

from cdn_cli.checks.finding import Finding
from cdn_cli.console import size_text

__all__ = ["check_constants", "check_disk"]

# The line for a top-level module `constants` in the RECORD of a distribution.
_CONSTANTS = re.compile(r"^constants([/\\]__init__\.py|\.py|(\.[\w-]+)?\.(so|pyd))(,|$)", re.MULTILINE)


def check_constants() -> Finding:
    """Look for other distributions with a module ``constants``: pip installs both, and Python finds one of them."""
    others = sorted({name for name in map(_claimant, distributions()) if name is not None})
    if not others:
        return Finding("constants", "ok", "Python finds the constants module of cdn-manager")
    names = " and ".join(others)
    return Finding("constants", "failed", f"{names} installed a module 'constants' too: Python finds only one of them",
                   f"install {names} and cdn-manager into separate virtual environments")  # fmt: skip


def _claimant(distribution: Distribution) -> str | None:
    """Return the name of a distribution that is not ours and has a module ``constants``, else None."""
    # Searched as text, because parsing every RECORD takes four times as long.
    if not _CONSTANTS.search(distribution.read_text("RECORD") or ""):
        return None
    name = distribution.metadata["Name"]
    return None if re.sub("[-_.]+", "-", name).lower() == "cdn-manager" else name


def check_disk(size: int, folder: str) -> Finding:
    """Test whether an object can be written, and fits on the disk.

    Args:
        size: The object's size in bytes.
        folder: Where it would be downloaded to; need not exist yet.
    """
    place = os.path.abspath(folder)
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    disk = shutil.disk_usage(place)
    if not os.access(place, os.W_OK):  # a read-only file system too
        return Finding("disk", "failed", f"this user cannot write to {place!r}",
                       "change that, or name another directory with --into DIR")  # fmt: skip
    if not disk.total:
        return Finding("disk", "skipped", f"not known: the file system of {place!r} does not tell its size")
    if disk.free > size:
        return Finding("disk", "ok", f"{size_text(disk.free)} free in {place!r}")
    return Finding("disk", "failed", f"{size_text(disk.free)} free in {place!r} for an object of {size_text(size)}",
                   "free some space")  # fmt: skip
