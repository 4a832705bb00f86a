"""Drives a tuner over links of one line each. The clock is an argument of the tuner."""

from cdn_engine.tuner import Tuner

STEP = 0.05  # seconds between two observations
MB = 1_000_000
LONG = 1_000_000 * MB  # what no link here moves in the time of a test


class Drive:
    """Drives a tuner over a link, which is a function: bytes a second for a number of connections.

    Args:
        tuner: The tuner; None for one of up to 16 connections.
        size: Bytes to move.
        latency: Seconds of a request.
        burst: Seconds between two arrivals of bytes; 0.0 for a smooth flow.
        busy: The share of its time that a thread spends on the CPU.
    """

    def __init__(self, tuner=None, size=LONG, latency=0.04, burst=0.0, busy=0.0):
        self.tuner = tuner or Tuner(16, 0.0)
        self.size, self.latency, self.burst, self.busy = size, latency, burst, busy
        self.now = self.carried = 0.0
        self.moved = 0
        self.unanswered = 0  # connections that have not moved anything

    def step(self, link):
        self.now += STEP
        self.carried = min(self.carried + link(self.tuner.target) * STEP, self.size)
        if not self.burst or self.now % self.burst < STEP:
            self.moved = int(self.carried)
        self.tuner.observe(
            self.now,
            self.moved,
            left=self.size - self.moved,
            working=self.tuner.target - self.unanswered,
            latency=self.latency,
            gap=self.burst,
            busy=self.busy,
        )
        return self.tuner.target

    def run(self, link, seconds):
        """Return all targets of the next ``seconds``."""
        return [self.step(link) for _ in range(round(seconds / STEP))]

    def until(self, link, target, limit=200.0):
        """Go on until there is this target. Return the seconds it took."""
        began = self.now
        while self.step(link) != target:
            assert self.now < began + limit
        return self.now - began


def each(rate):
    return lambda connections: rate * connections


def shared(rate):
    return lambda connections: rate


def opened(**options):
    """Return a drive that has opened all 16 connections."""
    drive = Drive(**options)
    drive.until(each(MB), 16, limit=5.0)
    return drive
