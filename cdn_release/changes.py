"""What is different between two releases in a directory."""

from pathlib import Path
from typing import NamedTuple

from cdn_release.manifest import Manifest

__all__ = ["Changes", "changes_between"]


class Changes(NamedTuple):
    """What a process that uses the current release has to load anew.

    Attributes:
        old: The directory of the release that was current; None if there was none.
        new: The directory of the release that is current now.
        added: The paths of the files that only the new one has, sorted, as those that follow.
        changed: Those whose content or permissions are others.
        removed: Those that only the old one has.
    """

    old: Path | None
    new: Path
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def changes_between(old: tuple[Path, Manifest | None] | None, new: tuple[Path, Manifest]) -> Changes:
    """Compare two releases, each a directory and its manifest; of the old one, this may be lost."""
    before = {} if old is None or old[1] is None else {file.path: file for file in old[1].files}
    after = {file.path: file for file in new[1].files}
    return Changes(
        None if old is None else old[0],
        new[0],
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(path for path in after.keys() & before.keys() if after[path] != before[path])),
        tuple(sorted(before.keys() - after.keys())),
    )
