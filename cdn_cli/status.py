"""Says in a few words what a transfer is doing."""

from typing import NamedTuple

from cdn_cli.console import rate_text, size_text
from cdn_cli.motion import Motion, is_moving
from cdn_engine.phases import FINISHING, READING, WAITING

__all__ = ["Status", "clock_text", "status_of"]

_SILENT = 1.0  # seconds that a phase lasts before it is said for how long
_UNANSWERED = 3.0  # seconds without a first byte, after which this is said

_RATE, _LEFT = len("99.9 MB/s"), len("0:42")  # columns that are kept free until rate and time are known


class Status(NamedTuple):
    """What a transfer is doing.

    Attributes:
        text: The rate and the time left, or the phase.
        short: The same for a narrow terminal: without the rate.
    """

    text: str
    short: str


def status_of(motion: Motion, now: float) -> Status:
    """Return the rate and the time left of what moves, and the phase of what does not."""
    phase, elapsed = motion.phase, _elapsed(now - motion.since)
    if is_moving(phase):
        return _status_of_moving(motion, now)
    if phase == READING:
        return _same(f"{READING} {size_text(motion.read)}")
    if motion.read and motion.size:
        return _same(f"{phase} {min(100, 100 * motion.read // motion.size)} %")
    if phase == WAITING:
        return Status(f"{WAITING} for another process{elapsed}", f"{WAITING}{elapsed}")
    return _same(f"{phase}{elapsed}" if phase else "")


def _status_of_moving(motion: Motion, now: float) -> Status:
    if motion.complete_since is not None:
        return _same(f"{FINISHING}{_elapsed(now - motion.complete_since)}")
    rate, left = motion.rate, motion.left
    if rate == 0:
        return _same("stalled")
    if not motion.moved and now - motion.since >= _UNANSWERED:
        return _same(f"no answer{_elapsed(now - motion.since)}")
    clock = "" if left is None else clock_text(left)
    return Status(f"{'' if rate is None else rate_text(1, 1 / rate):>{_RATE}} {clock:<{_LEFT}}", f"{clock:<{_LEFT}}")


def _same(text: str) -> Status:
    return Status(text, text)


def _elapsed(seconds: float) -> str:
    return f" {clock_text(seconds)}" if seconds >= _SILENT else ""


def clock_text(seconds: float) -> str:
    """Return a time as a clock shows it: ``0:42``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
