"""When a transfer must be finished."""

import time

from cdn_engine.errors import DeadlineExceededError, explain

__all__ = ["Deadline", "no_time_left"]


class Deadline:
    """A point in time, or none.

    Args:
        seconds: Seconds from now; None for no deadline.

    Thread-safety: immutable.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def allows(self, pause: float = 0.0) -> bool:
        """Return True if the deadline has not passed ``pause`` seconds from now."""
        return self._end is None or time.monotonic() + pause <= self._end


def no_time_left(error: BaseException, kept: str) -> DeadlineExceededError:
    """Return the failure of a transfer whose deadline allows no other attempt after ``error``.

    Args:
        error: Why the last attempt failed.
        kept: What the next call can resume from.
    """
    exceeded = DeadlineExceededError(f"the deadline leaves no time for another attempt after: {explain(error)}; {kept}")
    exceeded.__cause__ = error
    return exceeded
