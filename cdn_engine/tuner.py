"""How many connections a transfer uses: all of them where one is slow, then as few as are just as fast.

A connection too few costs a multiple of the time, one too many costs little. So the tuner is optimistic upwards and
patient downwards. An upload begins gently, because the parts under way are lost if its process dies. The clock and the
counts come in as arguments.
"""

import math
from collections.abc import Generator
from typing import Self

from cdn_engine.meter import Meter, Rate, Steps

__all__ = ["Tuner"]

Verdict = Generator[None, None, bool]

_TOO_LONG = 1.0  # seconds that the rest may take; if it takes longer, more connections are worth their handshakes
_EACH = 0.25  # seconds of the rest for which one connection is opened

# A transfer that begins gently has one connection, gets a few at once where the first bytes fly, and otherwise tries
# several times as many as long as that pays.
_FLIES = 50 << 20  # bytes a second: a part takes a tenth of a second
_FLYING = 1 << 20  # bytes of which that is taken, because buffers on the way take less than that at once
_FEW = 4  # connections, which fill two cores
_STUCK = 2.0  # seconds; what does not even begin for so long may do so over another connection
_TIMES = 4  # one step further costs a part under way, and saves a second where a round trip takes 0.2
_OF_LINEAR_AT_ONCE = 1 / 3  # so much of their share in the number shows at once that more pay

# Fewer connections are tried step by step: 12 of 16, then 7, 4 and 2. So a step too far costs little, and is soon made
# good. They come late, and not at all in a short transfer: what too many connections cost grows with the time.
_FIRST_STEP = 0.75  # the share that stays, as all may be needed
_STEP = 0.6  # the share that stays, since the link does not limit each one
_STEPS = 4
_FIRST_TRIAL = 2.5  # seconds after the first byte, or later,
_LAST_TRIAL = 9.0  # if the last trial ends so early all the same
_FEWEST = 2  # are not too many for any link, and one of them goes on when the other one fails
_HOLDS = 0.9  # fewer are kept if they have this share of the rate
_MARGIN = 1.25  # by which the number that seems to be enough is exceeded
_PAUSE = 10.0  # seconds until fewer are tried again; doubles each time
_LONGEST_PAUSE = 20.0

_PATIENCE = 1.5  # seconds until more are tried; doubles each time. It costs nothing, and shows what no rate does:
_LONGEST_PATIENCE = 4.0  # that a link has changed to one that limits each connection
_PAYS = 1.15  # more have paid if the rate is higher by this factor,
_OF_LINEAR = 0.5  # and are kept after a trial if it has grown by this share of their number
_FALLS = 0.75  # a rate that falls to this share although there are more connections is that of a changed link
_REFUSED = 5.0  # seconds until a connection that was refused is tried again; doubles each time
_LONGEST_REFUSED = 80.0
_BUSY = 0.8  # share of its time on the CPU from which on a thread has none for another connection

_WORTH = 2  # trials that the rest must take for one to be worth it
_CHANGED = 0.6  # the link has changed if the rate falls to this share, or rises as much,
_CHANGES = 3  # in so many halves of a measurement in a row


class Tuner:
    """Decides the number of connections.

    Args:
        most: The largest number of connections.
        now: The time in seconds.
        moved: Bytes that the transfer has moved so far.
        part: Bytes of the parts that the transfer has, which are lost if they are not finished when its process dies:
            connections are opened gently then. 0 if nothing is lost.

    Attributes:
        most: See above. It may change at any time.
        target: How many connections there should be.
    """

    def __init__(self, most: int, now: float, moved: int = 0, part: int = 0) -> None:
        self.most = self._most = most
        self.target = 1
        self._many = 1  # before fewer were tried
        self._opening = True  # as long as nothing shows that any number is too many
        self._meter = Meter(now, moved)
        self._busy = 0.0
        self._pause = _PAUSE
        self._refused_pause = _REFUSED
        self._no_more_before = self._no_fewer_before = now
        self._is_fixed = False
        self._part = part
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
            busy: The share of their time that the threads which move bytes spend on the CPU, from 0 to 1; also 1 while
                a bandwidth limit is used up. More connections cannot help then.
        """
        self._meter.observe(now, moved, left, working, latency, gap)
        self._busy = busy
        if self.most != self._most:
            self._change_most()
        next(self._steps)
        self.target = min(self.target, self.most)  # which may have been lowered during a trial

    def wanted(self, limit: int) -> int:
        """Return how many connections could be of use soon, of at most ``limit``."""
        return limit if self._opening else min(limit, max(2 * self.target, self._many))

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
        self.target = self._many = target
        self._steps = self._stay() if self._is_fixed else self._steer(opens=False)

    # The steps. Each ``yield`` waits for the next observation.

    def _stay(self) -> Steps:
        while True:
            if self._meter.now >= self._no_more_before:
                self.target = self.most
            yield

    def _steer(self, opens: bool = True) -> Steps:
        yield from self._meter.first_bytes(_STUCK if self._part else math.inf)
        while True:
            self._opening = opens
            if opens:
                yield from self._open_gently() if self._part else self._open()
            rate = yield from self._measure_with(self.target)
            while self._meter.now - self._meter.began < max(_FIRST_TRIAL, _LAST_TRIAL - _STEPS * self._meter.trial):
                yield
            self._opening = False
            if self._meter.now >= self._no_fewer_before:
                rate = yield from self._try_fewer(rate)
            opens = yield from self._hold(rate)

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

    def _open_gently(self) -> Steps:
        """Open connections step by step as long as the rest takes too long, and keep as many as have paid."""
        flies = self.target == 1 and (yield from self._meter.flies(_FLIES, _FLYING))
        if flies:
            self.target = min(_FEW, self.most)
        rate = yield from self._meter.glance()
        if flies and rate < _FLIES:  # it was only a buffer that the bytes flew into
            self.target = 1
            rate = yield from self._meter.glance()
        while self.target < self.most:
            if self._meter.left <= _TOO_LONG * rate or not self._may_grow():
                rate = yield from self._meter.glance()
                continue
            if rate * _TOO_LONG > self._part:
                yield from self._meter.reach(self._part, _TOO_LONG)
            few, self.target = self.target, min(self.most, _TIMES * self.target)
            enough = 1 + (self.target / few - 1) * _OF_LINEAR_AT_ONCE
            growth = yield from self._meter.growth(rate, enough)
            if growth < enough:
                self.target = round(few * max(1.0, growth))
                return
            # The next ones are compared with what these should bring in the end, which nobody has to wait for.
            rate = rate * self.target / few or (yield from self._meter.glance())

    def _may_grow(self) -> bool:
        return self._busy < _BUSY and self._meter.now >= self._no_more_before

    def _is_worth_it(self, rate: float) -> bool:
        """Return True if the rest takes much longer than a trial."""
        return self._meter.left > _WORTH * self._meter.trial * rate

    def _is_short(self, rate: float) -> bool:
        """Return True if the transfer ends before fewer connections could matter."""
        return self._meter.left < (self._meter.began + _LAST_TRIAL - self._meter.now) * rate

    def _try_fewer(self, rate: float) -> Rate:
        """Find out how few connections are as fast. Return the rate of those that are kept."""
        self._many = held = self.target
        few = max(int(held * _FIRST_STEP), _FEWEST)
        while few < held and self._is_worth_it(rate) and not self._is_short(rate):
            found = yield from self._measure_with(few)
            if found > rate * _PAYS:  # the rate of the many had still been that of a slow start
                rate = yield from self._measure_with(held)
                found = yield from self._measure_with(few)
            if found < rate * _HOLDS:
                enough = math.ceil(_MARGIN * few * rate / found) if found else self._many
                rate = yield from self._measure_with(min(max(enough, held), self._many))
                break
            rate, held = max(rate, found), few
            few = max(round(held * _STEP), _FEWEST)
        self._many = self.target
        if self.target > _FEWEST:
            self._no_fewer_before = self._meter.now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return rate

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
        self._refused_pause = _REFUSED
        return True

    def _hold(self, rate: float) -> Verdict:
        """Keep the target for a while. Return True as soon as more connections are faster, or the link has changed."""
        patience = _PATIENCE
        while self.target <= _FEWEST or self._meter.now < self._no_fewer_before:
            yield from self._meter.settle(self.target)
            until = self._meter.now + max(patience, self._meter.trial)
            patience = min(2 * patience, _LONGEST_PATIENCE)
            changes, recent = 0, rate
            while self._meter.now < until:
                found = yield from self._meter.measure_half()
                recent = (recent + found) / 2
                changes = changes + 1 if _has_changed(rate, found) else 0
                if changes >= _CHANGES and self._may_grow():
                    self._pause, self._no_fewer_before = _PAUSE, self._meter.now
                    return True
            if (yield from self._try_more(recent)):
                return True
        return False

    def _measure_with(self, connections: int) -> Rate:
        """Return the rate with so many connections."""
        self.target = connections
        yield from self._meter.settle(connections)
        return (yield from self._meter.measure())


def _has_changed(rate: float, found: float) -> bool:
    return not rate * _CHANGED < found < rate / _CHANGED
