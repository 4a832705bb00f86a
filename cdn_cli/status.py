"""Says in a few words what a transfer is doing."""

from typing import NamedTuple

from cdn_cli.console import rate_text, size_text
from cdn_cli.motion import Motion, is_moving
from cdn_engine.phases import FINISHING, READING, WAITING

__all__ = ["Status", "clock_text", "status_of"]

_SILENT = 1.0  # seconds that a phase lasts before it is said for how long
_UNANSWERED = 3.0  # seconds without a first byte, after which this is said


class Status(NamedTuple):
    """What a transfer is doing.

    Attributes:
        short: What fits into a narrow terminal.
        rate: What precedes it in a wider one; may be empty.
    """

    short: str
    rate: str = ""


def status_of(motion: Motion, now: float) -> Status:
    """Return the rate and the time left of what moves, and the phase of what does not."""
    if is_moving(motion.phase):
        if motion.complete_since is not None:
            return Status(f"{FINISHING}{_elapsed(now - motion.complete_since)}")
        rate, left = motion.rate, motion.left
        if rate == 0:
            return Status("stalled")
        if not motion.moved and now - motion.since >= _UNANSWERED:
            return Status(f"no answer{_elapsed(now - motion.since)}")
        return Status("" if left is None else clock_text(left), rate_text(1, 1 / rate) if rate else "")
    if not motion.phase:
        return Status("")
    if motion.phase == READING:
        return Status(f"{READING} {size_text(motion.read)}")
    if motion.read and motion.size:
        return Status(f"{motion.phase} {min(100, 100 * motion.read // motion.size)} %")
    if motion.phase == WAITING:
        return Status(f"{WAITING}{_elapsed(now - motion.since)}", "another process:")
    return Status(f"{motion.phase}{_elapsed(now - motion.since)}")


def _elapsed(seconds: float) -> str:
    return f" {clock_text(seconds)}" if seconds >= _SILENT else ""


def clock_text(seconds: float) -> str:
    """Return a time as a clock shows it: ``0:42``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
