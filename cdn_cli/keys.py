"""Finds the keys that cannot be files because other keys lie below them."""

from collections.abc import Collection

__all__ = ["directories"]


def directories(keys: Collection[str]) -> dict[str, str]:
    """Return those of the keys that are directories of others, each with one of these: ``a`` with ``a/b``.

    Args:
        keys: Keys that are to become files in one folder.
    """
    below = {key[:end]: key for key in keys for end, character in enumerate(key) if character == "/"}
    return {key: below[key] for key in keys if key in below}
