"""Which release in a directory is the current one, and going back to an earlier one."""

import os
from collections.abc import Callable
from pathlib import Path

from cdn_release.changes import Changes, changes_between
from cdn_release.errors import ReleaseDamagedError, ReleaseMissingError
from cdn_release.manifest import check_name
from cdn_release.place import Place

__all__ = ["current", "make_current", "rollback"]


def current(directory: str | os.PathLike[str]) -> Path | None:
    """Return the directory of the current release, or None if there is none.

    Ask once, then open all files below what this returns: ``directory/current`` may lead elsewhere a moment later.

    Args:
        directory: The directory with releases.

    Raises:
        ReleaseError: Something that is not ours is in the place of ``current``.

    Thread-safety: safe, also while another process installs.
    """
    place = Place(directory)
    name = place.current()
    return None if name is None else Path(place.release(name))


def rollback(
    directory: str | os.PathLike[str],
    name: str | None = None,
    *,
    on_change: Callable[[Changes], object] | None = None,
) -> Changes | None:
    """Make an earlier release the current one again.

    Args:
        directory: The directory with releases.
        name: The release. None for the one that was installed before the current one, and not left since then.
        on_change: Called with the changes after ``current`` has moved.

    Returns:
        What is different from the release that was current; None if that is this one.

    Raises:
        ReleaseMissingError: There is no such release here.
        ReleaseDamagedError: Its manifest is not here any more, or damaged.
        ReleaseError: ``name`` cannot be one, or something that is not ours is in the place of ``current``.

    Thread-safety: safe, also while another process installs, which makes its release current later.
    """
    place = Place(directory)
    place.require()
    with place.changing(lambda: None):
        changes = make_current(place, _previous(place) if name is None else name)
    if changes is not None and on_change is not None:
        on_change(changes)
    return changes


def make_current(place: Place, name: str, is_installed: bool = False) -> Changes | None:
    """Make a release the current one, and return the changes; None if it was. ``changing`` is held.

    The history is like a browser's. Going back to a release in it leaves it as it is; an installed one takes the place
    of all that comes after the current one.
    """
    check_name(name)
    path = place.release(name)
    if not os.path.isdir(path):
        raise ReleaseMissingError(f"there is no release {name!r} in {place.path!r}{_here(place)}")
    manifest = place.manifest(name)
    if manifest is None:
        raise ReleaseDamagedError(f"{path!r} has lost its manifest in {place.own!r}: move it away, and install again")
    before = place.current()
    if before == name:
        return None
    history = place.history()
    if is_installed or name not in history:
        end = history.index(before) + 1 if before in history else len(history)
        place.keep_history([*(one for one in history[:end] if one != name), name])
    old = None if before is None else (Path(place.release(before)), place.manifest(before))
    changes = changes_between(old, (Path(path), manifest))
    place.point_to(name)  # last, so that no failure keeps what has changed from being told
    return changes


def _previous(place: Place) -> str:
    """Return the name of the release that was installed before the current one."""
    history, before = place.history(), place.current()
    earlier = history[:history.index(before)] if before in history else history
    for name in reversed(earlier):
        if os.path.isdir(place.release(name)):
            return name
    raise ReleaseMissingError(f"{place.path!r} has no release from before the current one{_here(place)}")


def _here(place: Place) -> str:
    names = place.names()
    return f": it has {', '.join(names)}" if names else ""
