"""Names what a transfer is doing, and tells that to a progress callback that wants to know."""

from collections.abc import Callable

__all__ = [
    "COMPARING",
    "FINISHING",
    "HASHING",
    "OUTAGE",
    "READING",
    "RECEIVING",
    "RETRYING",
    "SENDING",
    "VERIFYING",
    "WAITING",
    "Progress",
]

READING = "reading"  # the payload of an upload, into memory or a temporary file
HASHING = "hashing"  # the payload of an upload
SENDING = "sending"
RECEIVING = "receiving"
COMPARING = "comparing"  # the file that is there with the object
VERIFYING = "verifying"  # what was received
FINISHING = "finishing"  # the store puts the parts together, or the disk is waited for
WAITING = "waiting"  # for another process that moves the same
RETRYING = "retrying"  # nothing has moved since a request failed

OUTAGE = 1.0  # seconds since a failure, after which a transfer that does not move is retrying


class Progress:
    """What the caller of a transfer is told, in its thread.

    Args:
        callback: Takes counts of bytes; if it has a method ``phase``, that takes what ``phase`` here does. None for no
            reports.
    """

    def __init__(self, callback: Callable[[int], object] | None) -> None:
        self._callback = callback
        self._tell: Callable[[str, int, int | None], object] | None = getattr(callback, "phase", None)
        self._told: tuple[str, int, int | None] | None = None

    def __call__(self, count: int) -> None:
        """Report bytes that have moved."""
        if self._callback is not None:
            self._callback(count)

    def phase(self, name: str, read: int = 0, size: int | None = None) -> None:
        """Report the phase, if this is news.

        Args:
            name: One of the constants above.
            read: Bytes that have been read, hashed or compared in it; 0 for phases that do none of this.
            size: Bytes of the object; None as long as that is not known.
        """
        if self._tell is not None and self._told != (name, read, size):
            self._told = name, read, size
            self._tell(name, read, size)
