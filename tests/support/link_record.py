"""What has passed over a modelled link: bytes, connections, and how many of them were at work at a time."""

import math


class Record:
    """Counts. The loop of the link writes, and any thread may read.

    A connection is at work from a request until the last byte of its answer: a store sends nothing unasked, so what
    follows an answer's bytes belongs to the answer, and what follows a pause after a request's bytes is an answer.

    Args:
        clock: Returns the time in seconds.

    Attributes:
        carried_bytes: Bytes by direction.
        connections: Connections that were served.
        refused: Connections that were not.
    """

    def __init__(self, clock):
        self._clock = clock
        self.carried_bytes = {"up": 0, "down": 0}
        self.connections = 0
        self.refused = 0
        self._began = self._ended = None  # of the first and the last byte
        self._open = {}  # when, by number
        self._last = {}  # (direction, when) of the last bytes, by number
        self._open_by_second, self._active_by_second = [], []

    def opened(self, now):
        """Count a connection. Return its number."""
        self.connections += 1
        self._open[self.connections] = now
        return self.connections

    def closed(self, number):
        self._add(self._open_by_second, self._open.pop(number), self._clock())
        self._last.pop(number, None)

    def carried(self, number, direction, amount, now):
        """Count bytes of a connection."""
        self._began = now if self._began is None else self._began
        self._ended = now
        before, since = self._last.get(number, (None, now))
        if (before, direction) != ("down", "up"):
            self._add(self._active_by_second, since, now)
        self._last[number] = direction, now
        self.carried_bytes[direction] += amount

    def elapsed(self, now):
        """Return the seconds since the first byte."""
        return 0.0 if self._began is None else now - self._began

    def _add(self, seconds, since, until):
        if self._began is None:
            return
        since, until = max(0.0, since - self._began), until - self._began
        while since < until:
            second = math.floor(since)
            seconds.extend([0.0] * (second + 1 - len(seconds)))
            part = min(until, second + 1) - since
            seconds[second] += part
            since += part

    def statistics(self):
        """Return all counts.

        ``open`` and ``active`` are the mean numbers of connections that were open, and at work, in each second from the
        first byte on; the last second may be cut off by the last byte. ``mean_active_from_10`` is None for what has
        taken less time.
        """
        now, elapsed = self._clock(), 0.0 if self._began is None else self._ended - self._began
        for number, since in list(self._open.items()):
            self._add(self._open_by_second, since, now)
            self._open[number] = now
        active, late = self._active_by_second, elapsed - 10
        return {
            "bytes_sent": self.carried_bytes["down"], "bytes_received": self.carried_bytes["up"],
            "connections": self.connections, "refused": self.refused, "elapsed": elapsed,
            "open": self._open_by_second, "active": active,
            "mean_active": sum(active) / elapsed if elapsed else 0.0,
            "mean_active_from_10": sum(active[10:]) / late if late > 0 else None,
        }  # fmt: skip
