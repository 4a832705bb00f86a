"""How many connections a download uses: twice as many while that makes it faster, fewer where it does not.

The clock and the counts come in as arguments.
"""

__all__ = ["Tuner"]

# More connections pay if they make the transfer faster by this factor, measured over this many seconds. If they do not,
# the next try comes after a pause.
_PAYS = 1.2
_MEASURE = 0.05
_PAUSE = 5.0

_LONGEST_PAUSE = 80.0  # seconds; the pause doubles each time the store, or the system, refuses more connections


class Tuner:
    """Decides the number of connections.

    Args:
        most: The largest number of connections.
        now: The time in seconds.
        received: Bytes that the transfer has received so far.

    Attributes:
        target: How many connections there should be.
    """

    def __init__(self, most: int, now: float, received: int = 0) -> None:
        self.target = 1
        self._most = most
        self._rate_before = 0.0  # bytes a second before the last growth; 0.0 if none is on trial
        self._grow_after = 0.0
        self._refused_pause = _PAUSE
        self._measure_from(now, received)

    def observe(self, now: float, received: int, delivering: int) -> None:
        """Adapt the target.

        Args:
            now: The time in seconds.
            received: Bytes that the transfer has received so far.
            delivering: Connections whose bodies are being read.
        """
        if now < self._grow_after or delivering < self.target:
            self._measure_from(now, received)
            return
        if now - self._measured_at < _MEASURE:
            return
        rate = (received - self._measured_bytes) / (now - self._measured_at)
        if rate < self._rate_before * _PAYS:
            self._rate_before = 0.0
            self.target = max(1, self.target // 2)
            self._grow_after = now + _PAUSE
        elif self.target < self._most:
            if self._rate_before:
                self._refused_pause = _PAUSE  # more connections were had, and paid
            self._rate_before = rate
            self.target = min(2 * self.target, self._most)
        else:
            self._rate_before = 0.0
        self._measure_from(now, received)

    def refuse(self, now: float, others: int, pause: float = 0.0) -> None:
        """Go on with the ``others``, because one more connection could not be had, and try no more for a while.

        Args:
            now: The time in seconds.
            others: The connections that remain.
            pause: Seconds for which the store wants no further connection.
        """
        if now >= self._grow_after:  # and not another connection of the same trial
            self._grow_after = now + self._refused_pause
            self._refused_pause = min(2 * self._refused_pause, _LONGEST_PAUSE)
        self._grow_after = max(self._grow_after, now + pause)
        self.target = max(1, min(self.target, others))
        self._rate_before = 0.0

    def stay_at_one(self) -> None:
        """Use one connection from now on."""
        self._most = self.target = 1

    def _measure_from(self, now: float, received: int) -> None:
        self._measured_at = now
        self._measured_bytes = received
