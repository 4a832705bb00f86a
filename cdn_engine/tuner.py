"""How many connections a transfer uses: all of them where one is slow, then as few as are just as fast.

A connection too few costs a multiple of the time, one too many costs little. So the tuner is optimistic upwards and
patient downwards. The clock and the counts come in as arguments.
"""

import math
from collections.abc import Generator
from typing import Self

from cdn_engine.meter import Meter, Rate, Steps

__all__ = ["Tuner"]

Verdict = Generator[None, None, bool]

_TOO_LONG = 1.0  # seconds that the rest may take; if it takes longer, more connections are worth their handshakes
_EACH = 0.5  # seconds of the rest for which one connection is opened

_FIRST_STEP = 12  # of 16 connections stay on trial: if all are needed, this costs little;
_STEP = 4  # then of 16 those, since the link does not limit each one
_FEWEST = 2  # are not too many for any link, and one of them goes on when the other one fails
_MARGIN = 1.1  # by which the number that seems to be enough is exceeded
_HOLDS = 0.9  # fewer are kept if they have this share of the rate
_PAYS = 1.15  # more have paid if the rate is higher by this factor,
_OF_LINEAR = 0.5  # and are kept after a trial if it has grown by this share of their number
_FALLS = 0.75  # a rate that falls to this share although there are more connections is that of a changed link
_WORTH = 3  # trials that the rest must take for one to be worth it
_FIRST_TRIAL = 2.5  # seconds after the first byte

_PAUSE = 10.0  # seconds between two trials; doubles when one brings nothing
_LONGEST_PAUSE = 20.0
_REFUSED = 5.0  # seconds until a connection that was refused is tried again; doubles each time
_LONGEST_REFUSED = 80.0
_CHANGED = 0.6  # the link has changed if the rate falls to this share, or rises as much,
_CHANGES = 3  # in so many halves of a measurement in a row
_BUSY = 0.8  # share of its time on the CPU from which on a thread has none for another connection


class Tuner:
    """Decides the number of connections.

    Args:
        most: The largest number of connections.
        now: The time in seconds.
        moved: Bytes that the transfer has moved so far.

    Attributes:
        most: See above. It may change at any time.
        target: How many connections there should be.
        opening: True as long as nothing shows that any number of connections is too many.
    """

    def __init__(self, most: int, now: float, moved: int = 0) -> None:
        self.most = self._most = most
        self.target = 1
        self.opening = True
        self._meter = Meter(now, moved)
        self._busy = 0.0
        self._pause = _PAUSE
        self._refused_pause = _REFUSED
        self._no_more_before = now
        self._is_fixed = False
        self._steps = self._steer()

    @classmethod
    def fixed(cls, target: int, now: float) -> Self:
        """Return a tuner whose target is fixed, but for connections that cannot be had."""
        tuner = cls(target, now)
        tuner._is_fixed = True
        tuner._go_on_with(target)
        return tuner

    def observe(
        self,
        now: float,
        moved: int,
        *,
        left: int,
        working: int,
        latency: float,
        gap: float = 0.0,
        busy: float = 0.0,
    ) -> None:
        """Adapt the target. To be called about 20 times a second.

        Args:
            now: The time in seconds.
            moved: Bytes that the transfer has moved so far.
            left: Bytes that it still has to move.
            working: Connections at work that have moved something.
            latency: Seconds from a request to the beginning of its answer.
            gap: The longest time in seconds for which a connection moves nothing in between.
            busy: The share of their time that the threads which move bytes spend on the CPU, from 0 to 1.
        """
        self._meter.observe(now, moved, left, working, latency, gap)
        self._busy = busy
        if self.most != self._most:
            self._change_most()
        next(self._steps)
        self.target = min(self.target, self.most)  # which may have been lowered during a trial

    def refuse(self, now: float, others: int, pause: float = 0.0) -> None:
        """Go on with the ``others``, because one more connection could not be had, and try no more for a while.

        Args:
            now: The time in seconds.
            others: The connections that remain.
            pause: Seconds for which the store wants no further connection.
        """
        if now >= self._no_more_before:  # and not another connection of the same trial
            self._no_more_before = now + self._refused_pause
            self._refused_pause = min(2 * self._refused_pause, _LONGEST_REFUSED)
        self._no_more_before = max(self._no_more_before, now + pause)
        self._go_on_with(max(1, min(self.target, others)))

    def stay_at_one(self) -> None:
        """Use one connection from now on."""
        self.most = self._most = 1
        self._go_on_with(1)

    def _change_most(self) -> None:
        reopen = self.target == self._most < self.most
        self._most = self.most
        if self.target > self.most:
            self._go_on_with(self.most)
        elif reopen and not self._is_fixed:
            self._steps = self._steer()

    def _go_on_with(self, target: int) -> None:
        self.target = target
        self._steps = self._stay() if self._is_fixed else self._steer(opens=False)

    # The steps. Each ``yield`` waits for the next observation.

    def _stay(self) -> Steps:
        while True:
            if self._meter.now >= self._no_more_before:
                self.target = self.most
            yield

    def _steer(self, opens: bool = True) -> Steps:
        yield from self._meter.first_bytes()
        rate = 0.0
        while True:
            self.opening = opens
            if opens:
                yield from self._open()
            before, rate = rate, (yield from self._measure_with(self.target))
            if not opens and before and _has_changed(before, rate):
                opens, rate = True, 0.0
                continue
            while self._meter.now - self._meter.began < _FIRST_TRIAL:
                yield
            self.opening = False
            rate = yield from self._try_fewer(rate)
            opens = yield from self._hold(rate)
            if not opens:
                opens = yield from self._try_more(rate)

    def _open(self) -> Steps:
        """Open connections as long as the rest takes too long and the last ones have brought something."""
        before = 0.0
        while self.target < self.most:
            seconds, rate = self._meter.rest()
            if seconds > _TOO_LONG and self._may_grow():
                if rate and rate < before * _PAYS:
                    return
                self.target = min(self.most, math.ceil(self.target * seconds / _EACH))
                before = rate
                yield from self._meter.settle(self.target)
            yield

    def _may_grow(self) -> bool:
        return self._busy < _BUSY and self._meter.now >= self._no_more_before

    def _is_worth_it(self, rate: float) -> bool:
        """Return True if the rest takes much longer than a trial."""
        return self._meter.left > _WORTH * self._meter.trial * rate

    def _try_fewer(self, rate: float) -> Rate:
        """Find out whether fewer connections are as fast. Return the rate of those that are kept."""
        few = max(_FEWEST, self.target * _FIRST_STEP // 16)
        again = True
        while few < self.target and self._is_worth_it(rate):
            found = yield from self._trial(few, rate)
            if found > rate * _PAYS:  # the rate of the many had still been that of a slow start
                rate = yield from self._measure_with(self.target)
                if not again:
                    break
                again = False
            elif found >= rate * _HOLDS:
                rate, few = found, max(_FEWEST, few * _STEP // 16)
            else:
                enough = math.ceil(_MARGIN * few * rate / found) if found else self.target
                if enough < self.target * _HOLDS and self._is_worth_it(rate):
                    found = yield from self._trial(enough, rate)
                    rate = found if self.target == enough else rate
                break
        return rate

    def _trial(self, few: int, rate: float) -> Rate:
        """Return the rate of fewer connections, which are kept if it is not much lower."""
        many = self.target
        found = yield from self._measure_with(few)
        if not rate * _HOLDS <= found <= rate * _PAYS:
            self.target = many
        return found

    def _try_more(self, rate: float) -> Verdict:
        """Return True if more connections are faster, or the link has changed meanwhile."""
        few = self.target
        if few == self.most or not self._may_grow() or not self._is_worth_it(rate):
            return False
        many = min(self.most, few + max(1, few // 2))
        found = yield from self._measure_with(many)
        if rate * _FALLS < found < rate * (1 + (many / few - 1) * _OF_LINEAR):
            self.target = few
            return False
        self._pause, self._refused_pause = _PAUSE, _REFUSED
        return True

    def _hold(self, rate: float) -> Verdict:
        """Keep the target for a while. Return True as soon as the link has changed."""
        until = self._meter.now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        yield from self._meter.settle(self.target)
        changes = 0
        while self._meter.now < until or not self._may_grow():
            found = yield from self._meter.measure_half()
            changes = changes + 1 if _has_changed(rate, found) else 0
            if changes >= _CHANGES and self._may_grow():
                self._pause = _PAUSE
                return True
        return False

    def _measure_with(self, connections: int) -> Rate:
        """Return the rate with so many connections."""
        self.target = connections
        yield from self._meter.settle(connections)
        return (yield from self._meter.measure())


def _has_changed(rate: float, found: float) -> bool:
    return not rate * _CHANGED < found < rate / _CHANGED
