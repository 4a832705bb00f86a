"""Removes releases from a directory that are not needed there any more."""

import errno
import os

from cdn_release.place import Place, sync_directory

__all__ = ["prune"]


def prune(directory: str | os.PathLike[str], keep: int) -> list[str]:
    """Remove releases from a directory, never the current one.

    Args:
        directory: The directory with releases.
        keep: How many are kept: the current one, then those to which ``rollback`` would go back, then the rest.

    Returns:
        The names of those that were removed, sorted.

    Raises:
        ReleaseMissingError: No release was ever installed there.
        ReleaseError: Something that is not ours is in the place of ``current``.
        OSError: A release cannot be removed.
        ValueError: ``keep`` is less than 1.

    Thread-safety: safe. It waits until no other process installs there. A process that still reads a release that is
    removed finds files missing which it has not opened.
    """
    if keep < 1:
        raise ValueError("keep must be at least 1: the current release is never removed")
    place = Place(directory)
    place.require()
    with place.installing(lambda: None), place.changing(lambda: None):
        place.remove_tree(place.removed)  # of one that was killed
        place.forget_missing()
        names = place.names()
        removed = sorted(_by_need(place, names)[keep:])
        for name in removed:
            _remove(place, name)
    return removed


def _remove(place: Place, name: str) -> None:
    try:
        os.rename(place.release(name), place.removed)  # nobody sees half of it
    except OSError as error:
        if error.errno != errno.EXDEV:  # that of overlayfs, for what is in the image of a container
            raise
        place.forget_manifest(name)  # so that what a kill leaves of it cannot become current
        place.remove_tree(place.release(name))
        return
    sync_directory(place.path)
    place.forget_manifest(name)
    place.remove_tree(place.removed)


def _by_need(place: Place, names: list[str]) -> list[str]:
    """Return the names of releases: the current one, those before it, those that were left again, and the rest."""
    history, current = place.history(), place.current()
    here = history.index(current) if current in history else len(history)
    order = [*([] if current is None else [current]), *reversed(history[:here]), *reversed(history[here:]), *names]
    return [name for name in dict.fromkeys(order) if name in names]
