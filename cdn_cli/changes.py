"""Tells what is different since another release is the current one."""

from typing import Any

from cdn_cli.console import files_text
from cdn_release import Changes

__all__ = ["changes_members", "changes_text"]


def changes_text(changes: Changes) -> str:
    """Return what people read."""
    if changes.old == changes.new:
        return f"current is {changes.new.name} already"
    counts = {"changed": changes.changed, "added": changes.added, "removed": changes.removed}
    said = [f"{files_text(len(paths))} {what}" for what, paths in counts.items() if paths]
    was = "" if changes.old is None else f", was {changes.old.name}"
    return f"current is now {changes.new.name}{was}" + (f": {', '.join(said)}" if said and was else "")


def changes_members(changes: Changes) -> dict[str, Any]:
    """Return the members of a JSON object."""
    old = None if changes.old is None else str(changes.old)
    return {**changes._asdict(), "old": old, "new": str(changes.new)}
