"""One file to move."""

from typing import NamedTuple

__all__ = ["Transfer"]


class Transfer(NamedTuple):
    """One file to move.

    Attributes:
        key: The object's key.
        path: The local file.
        size: Its size in bytes, None if it is not known yet.
    """

    key: str
    path: str
    size: int | None
