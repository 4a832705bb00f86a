"""Shows the tuner how an upload moves."""

import os
import time

from cdn_engine.tuner import Tuner
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.state import State
from cdn_engine.wire.session import MOST_UNSENT

__all__ = ["Gauge"]

_BUSY_OVER = 0.5  # seconds over which the use of the CPU is averaged
_LONGEST_GAP = 1.0  # seconds; what is longer is a stall, and no burst of the link


class Gauge:
    """Measures one upload.

    What the system has taken from a connection may still be in its buffer. There it counts as moved only beyond
    ``MOST_UNSENT`` bytes, more of which no buffer holds that have not been on the link.

    Args:
        parts: The parts.
        state: The upload's shared state.
        size: Bytes of the payload.
        latency: Seconds that the store took to answer a request without a body.

    Thread-safety: the lock of the state has to be held.
    """

    def __init__(self, parts: Parts, state: State, size: int, latency: float) -> None:
        self._parts = parts
        self._state = state
        self._size = size
        self._latency = latency
        self._busy = 0.0
        self._busy_at = time.monotonic()
        self._cpu = state.cpu

    def show(self, tuner: Tuner, now: float) -> None:
        """Let the tuner observe the upload."""
        state = self._state
        bodies = self._parts.bodies()
        buffered = sum(min(body.sent, MOST_UNSENT) for body in bodies)
        tuner.observe(
            now,
            state.sent - buffered,
            left=self._size - state.counted + buffered,
            working=sum(body.sent > MOST_UNSENT and body not in state.paused for body in bodies),
            latency=min(self._latency, self._parts.quickest_answer),
            gap=min(state.longest_gap, _LONGEST_GAP),
            busy=1.0 if state.pace.is_full else self._measure_busy(now, len(bodies)),
        )

    def _measure_busy(self, now: float, threads: int) -> float:
        elapsed = now - self._busy_at
        if elapsed >= _BUSY_OVER:
            cpu = self._state.cpu
            self._busy = (cpu - self._cpu) / (elapsed * max(1, min(threads, _cores())))
            self._busy_at, self._cpu = now, cpu
        return self._busy


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
