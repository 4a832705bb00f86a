"""What a modelled link lets a connection carry, and when: numbers in, numbers out, with the time as an argument."""

import math
import random
from dataclasses import dataclass

SLICE = 0.01  # seconds between two looks at a connection that has used up what it may carry
READ = 256 << 10  # bytes; the most that is carried at once

_SEGMENT = 1448  # payload of a TCP segment on Ethernet with timestamps
INITIAL_WINDOW = 10 * _SEGMENT  # RFC 6928
_IDLE = 0.2  # seconds; Linux's smallest retransmission timeout, after which an idle connection starts slowly again

_JITTER_SLOT = 0.1  # seconds for which a factor holds
_GRACE = 0.02  # seconds; a sender that pauses for less is busy, not idle
_LATE = 0.25  # seconds of the rate that are made up for after a pause that the busy machine has caused


@dataclass(frozen=True)
class Conditions:
    """What a link is like. Rates hold in each direction.

    Attributes:
        rtt: Round-trip time in seconds. A new connection takes one before its first byte, and each byte half of one.
        rate: Bytes per second of each connection; None for no limit.
        shared: Bytes per second of all connections together, shared fairly; None for no limit.
        slow_start: True if a connection begins, and begins again after idling, with a window of 10 segments for each
            round trip, which doubles as long as it is what limits.
        jitter: Sigma of the lognormal factor, of mean 1, by which a connection's rate changes every 100 ms.
        burst: Seconds between the lumps in which a connection's rate arrives; 0 for an even flow.
        changes: New rates: (seconds since the first byte, rate, shared), in the order of time.
        most: How many connections are served at a time; None for no limit.
        surplus: What happens to the others: ``"reset"``, ``"hang"`` (never answered) or ``"503"``.
        retry_after: Seconds to name in the 503; None for no such field.
        reset_every: Bytes towards the client after which a connection is reset; None for never.
        silent: (number, bytes): the connection of this number, from 1, delivers so many bytes and then nothing.
        seed: Determines the factors and the phases of the lumps, for each connection by its number.
    """

    rtt: float = 0.0
    rate: float | None = None
    shared: float | None = None
    slow_start: bool = False
    jitter: float = 0.0
    burst: float = 0.0
    changes: tuple = ()
    most: int | None = None
    surplus: str = "reset"
    retry_after: int | None = None
    reset_every: int | None = None
    silent: tuple | None = None
    seed: int = 0

    def rates(self, elapsed):
        """Return the rate of a connection and the shared one, ``elapsed`` seconds after the first byte."""
        passed = [change[1:] for change in self.changes if change[0] <= elapsed]
        return tuple(passed[-1]) if passed else (self.rate, self.shared)


class Bucket:
    """The bytes that a rate allows. What a sender leaves unused is lost; being asked late loses nothing.

    Args:
        grace: Seconds; a sender that had nothing to send for longer has left the link unused.
        burst: Seconds between lumps; 0 for an even flow.
        phase: Seconds by which the lumps are shifted.
    """

    def __init__(self, grace, burst=0.0, phase=0.0):
        self._grace, self._burst, self._phase = grace, burst, phase
        self._filled_at = None
        self.level = 0.0

    def fill(self, now, rate, idle):
        """Add what has become allowed by now. ``idle`` tells that the sender had nothing to send until now."""
        if self._filled_at is None:
            self._filled_at, self.level = now, rate * SLICE
        seconds = self._seconds(now)
        unused = idle and now - self._filled_at > self._grace
        most = max(self._burst, SLICE if unused else _LATE)
        self.level = min(self.level + rate * seconds, rate * most)
        self._filled_at = now

    def _seconds(self, now):
        """Return for how many seconds the rate has arrived since the last time."""
        if not self._burst:
            return now - self._filled_at
        lumps = [(time - self._phase) // self._burst for time in (self._filled_at, now)]
        return (lumps[1] - lumps[0]) * self._burst


class Window:
    """Slow start: the bytes of each round trip.

    Args:
        rtt: The round-trip time in seconds.
    """

    def __init__(self, rtt):
        self._rtt = rtt
        self._round_began = self._asked_at = -math.inf
        self._size = self.left = INITIAL_WINDOW

    def open(self, now, rate):
        """Set what is left in this round trip. ``rate`` is what the window has to grow to; None for no end."""
        if now - self._asked_at > max(_IDLE, 2 * self._rtt):
            self._size = self.left = INITIAL_WINDOW
            self._round_began = now
        self._asked_at = now
        late = now - self._round_began - self._rtt
        if late >= 0:
            enough = math.inf if rate is None else 2 * rate * self._rtt
            if self.left < _SEGMENT and self._size < enough:
                self._size *= 2
            self.left = self._size
            self._round_began = now - late if late < self._rtt else now


class Shaper:
    """Limits one direction of one connection.

    Args:
        conditions: What the link is like.
        number: Number of the connection.
        direction: Name of the direction.
    """

    def __init__(self, conditions, number, direction):
        self._conditions = conditions
        self._name = f"{conditions.seed} {number} {direction}"
        self._began = None
        self._slot, self._factor = None, 1.0
        phase = random.Random(self._name).random() * conditions.burst
        self._bucket = Bucket(min(_GRACE, conditions.rtt / 2 or _GRACE), conditions.burst, phase)
        self._window = Window(conditions.rtt) if conditions.slow_start and conditions.rtt else None

    def factor(self, elapsed):
        """Return the factor of the rate, ``elapsed`` seconds after the first request."""
        slot, sigma = int(elapsed / _JITTER_SLOT), self._conditions.jitter
        if sigma and slot != self._slot:
            self._slot = slot
            self._factor = random.Random(f"{self._name} {slot}").lognormvariate(-sigma * sigma / 2, sigma)
        return self._factor

    def allow(self, now, rate, shared, idle):
        """Return how many bytes may be carried now.

        Args:
            now: The time in seconds.
            rate: The connection's rate in bytes per second; None for no limit.
            shared: The rate of all connections, which only says how far a window has to grow.
            idle: True if there was nothing to carry until now.
        """
        self._began = now if self._began is None else self._began
        amount = READ
        if rate is not None:
            self._bucket.fill(now, rate * self.factor(now - self._began), idle)
            amount = min(amount, self._bucket.level)
        if self._window is not None:
            self._window.open(now, min((known for known in (rate, shared) if known is not None), default=None))
            amount = min(amount, self._window.left)
        return int(amount)

    def spend(self, amount):
        """Take what has been carried from what is allowed."""
        self._bucket.level -= amount
        if self._window is not None:
            self._window.left -= amount


def share(amounts, level):
    """Divide ``level`` bytes fairly: nobody gets more than the amount asked for, and what one leaves the others get.

    Returns:
        What each gets, in the order of ``amounts``.
    """
    shares = [0] * len(amounts)
    for rank, index in enumerate(sorted(range(len(amounts)), key=amounts.__getitem__)):
        shares[index] = max(0, min(amounts[index], int(level / (len(amounts) - rank))))
        level -= shares[index]
    return shares
