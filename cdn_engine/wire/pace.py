"""Bandwidth limits: one that the connections of a transfer share, and one that all transfers of this process share."""

import math
import os
import threading
import time
from collections.abc import Callable

__all__ = ["LOWEST_RATE", "Bucket", "Pace", "limit_rate"]

LOWEST_RATE = 1000  # bytes a second; less is a forgotten K or M, and would take 12 days for a gigabyte

# Bytes pass in pieces that take this long, in seconds. What arrives is counted afterwards: at the beginning, each
# connection has a piece too many. Smaller ones than about a packet would cost more than they help.
_PIECE = 0.02
_SMALLEST_PIECE = 1024  # bytes
_ANY = 1 << 62  # bytes; a piece without a limit

# What was not used of the last so many seconds may pass at once: sleeps end late, and the rate would be lower than the
# limit otherwise. It has to be longer than a piece takes.
_CREDIT = 0.25

_FULL = 0.8  # the share of the rate from which on more connections cannot help


class Bucket:
    """A number of bytes a second. The time comes in as an argument.

    Args:
        bytes_per_second: The rate.
        now: The time in seconds.

    Attributes:
        piece: The most bytes that should pass at once.

    Thread-safety: safe.
    """

    def __init__(self, bytes_per_second: float, now: float) -> None:
        self._rate = bytes_per_second
        self._free_at = now  # when all that was taken has passed
        self._lately = 0.0  # bytes taken, of which after each second a third still counts
        self._taken_at = now
        self._lock = threading.Lock()
        self.piece = max(_SMALLEST_PIECE, int(min(bytes_per_second * _PIECE, _ANY)))

    def take(self, amount: int, now: float) -> float:
        """Take bytes. Return the seconds to wait until they have passed at the rate, and all that was taken before."""
        with self._lock:
            self._free_at = max(self._free_at, now - _CREDIT) + amount / self._rate
            self._lately = self._lately * math.exp(self._taken_at - now) + amount
            self._taken_at = now
            return max(0.0, self._free_at - now)

    def is_full(self, now: float) -> bool:
        """Return True if more connections cannot help, since those that there are use the rate up."""
        # Others wait for it; or, on a machine so busy that they wake up late, have used nearly all of it.
        return self._free_at > now - _CREDIT / 2 or self._lately * math.exp(self._taken_at - now) > _FULL * self._rate


_of_process: Bucket | None = None


def limit_rate(bytes_per_second: float | None) -> None:
    """Limit the bandwidth of all uploads and downloads of this process together, those under way included.

    The bytes of objects count, in both directions; a ``TransferConfig`` may limit a transfer further. Requests that are
    made with the boto3 clients themselves are not limited. A child of a fork has the same limit for itself.

    Args:
        bytes_per_second: The limit, at least 1000; None for no limit.

    Raises:
        ValueError: It is less.

    Thread-safety: safe.
    """
    global _of_process
    if bytes_per_second is not None and not bytes_per_second >= LOWEST_RATE:
        raise ValueError(f"bytes_per_second must be at least {LOWEST_RATE}, not {bytes_per_second!r}")
    _of_process = None if bytes_per_second is None else Bucket(bytes_per_second, time.monotonic())


class Pace:
    """The limits that one transfer keeps: its own, and that of the process.

    Args:
        bytes_per_second: Its own; None for none.

    Thread-safety: safe.
    """

    def __init__(self, bytes_per_second: float | None = None) -> None:
        self._own = Bucket(bytes_per_second, time.monotonic()) if bytes_per_second else None

    @property
    def is_limited(self) -> bool:
        """True if there is a limit. Cheap, as every read from the network asks."""
        return self._own is not None or _of_process is not None

    @property
    def piece(self) -> int:
        """The most bytes that should pass at once."""
        return min((bucket.piece for bucket in self._buckets()), default=_ANY) if self.is_limited else _ANY

    @property
    def is_full(self) -> bool:
        """True if more connections cannot help, since those that there are use up what a limit allows."""
        now = time.monotonic()
        return any(bucket.is_full(now) for bucket in self._buckets())

    def keep(self, amount: int, wait: Callable[[float], object]) -> None:
        """Take bytes, and wait until they have passed at the rate.

        Args:
            amount: Number of bytes.
            wait: Called with the seconds to wait, if there are any. May return sooner.
        """
        now = time.monotonic()
        pause = max((bucket.take(amount, now) for bucket in self._buckets()), default=0.0)
        if pause:
            wait(pause)

    def _buckets(self) -> list[Bucket]:
        return [bucket for bucket in (self._own, _of_process) if bucket is not None]


def _begin_anew() -> None:
    """Give the child a bucket of its own: a thread of the parent may have held the lock of this one."""
    global _of_process
    if _of_process is not None:
        _of_process = Bucket(_of_process._rate, time.monotonic())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
