"""Tells PyInstaller where the hooks of this package are: its entry point ``pyinstaller40``."""

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Return the folder with the hooks."""
    return [str(Path(__file__).parent)]
