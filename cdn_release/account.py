"""Tells the caller how a whole release comes along."""

from collections.abc import Callable

from cdn_engine.phases import COMPARING, RETRYING, Progress

__all__ = ["Account"]


class Account:
    """What the caller of ``publish``, ``install`` or ``verify`` is told, in its thread.

    Args:
        callback: As for ``CDNManager.fetch``: takes counts of bytes; its method ``phase``, if it has one, takes the
            phase, the bytes read in it, and the bytes of the whole release. None for no reports.

    Attributes:
        size: Bytes of the whole release; None as long as that is not known.
    """

    def __init__(self, callback: Callable[[int], object] | None) -> None:
        self._progress = Progress(callback)
        self._phase = ""
        self._read = 0
        self.size: int | None = None

    def enter(self, phase: str) -> None:
        """Tell what is done from now on: one of the names in ``cdn_engine.phases``."""
        self._phase, self._read = phase, 0
        self._progress.phase(phase, 0, self.size)
        self._progress(0)

    def pulse(self) -> None:
        """Let the caller end the call."""
        self._progress(0)

    def read(self, count: int, *_: bool) -> None:
        """Tell that bytes have been read in this phase, which are none that move."""
        self._read += count
        self._progress.phase(self._phase, self._read, self.size)
        self._progress(0)

    def move(self, count: int, is_there: bool = False, is_stuck: bool = False) -> None:
        """Tell that bytes have moved, or need not be moved because they are there; or that nothing moves."""
        self._progress.phase(COMPARING if is_there else RETRYING if is_stuck else self._phase, 0, self.size)
        self._progress(count)
