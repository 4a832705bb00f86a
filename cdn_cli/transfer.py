"""One file to move, or one release."""

from typing import Any, NamedTuple

from cdn_manager import TransferResult

__all__ = ["ReleaseResult", "Transfer"]


class Transfer(NamedTuple):
    """One file to move, or the directory of a release.

    Attributes:
        key: The object's key, or the release's name.
        path: The local file or directory.
        size: Its size in bytes, None if it is not known yet.
    """

    key: str
    path: str
    size: int | None


class ReleaseResult(TransferResult):
    """What a finished publish or install reports: the same as a transfer, and more.

    Attributes:
        more: The members of its event that only a release has.
    """

    more: dict[str, Any]
