"""Simulates downloads over links by the hundred: the real plan and the real tuner, with a modelled link and clock.

A link limits each connection, all of them together, or both. A connection costs a round trip to open and another for
each request, begins in slow start (again after idling), and may be jittered, bursty, reset, silent or refused.
"""

import dataclasses
import random
from dataclasses import dataclass

from cdn_engine.download.plan import Plan
from cdn_engine.tuner import Tuner

TICK = 0.05  # seconds between two looks of the product
FIRST = 8 << 20
MOST = 16
WINDOW = 14_480  # bytes with which slow start begins: ten segments
FASTEST = 4e8  # bytes a second that reach a machine at all
TIMEOUT = 30  # seconds without a byte after which the product gives a connection up


@dataclass(frozen=True)
class Link:
    """A link, and the object that is downloaded over it.

    Attributes:
        name: What is printed.
        size: The object's size in bytes.
        rate: Bytes a second of each connection.
        shared: Bytes a second of all together.
        rtt: Seconds of a round trip.
        jitter: Sigma of the lognormal factor that a connection's rate has for 100 ms.
        burst: Seconds between bursts; 0 for a smooth flow.
        most: Connections that the store takes.
        reset_every: Bytes after which each connection is reset; 0 for never.
        silent: The connection that goes silent, counted from 0, and after how many bytes; None for none.
        change: The share of the bytes after which ``rate`` and ``shared`` become these two; None for never.
        seed: Of the random numbers.
    """

    name: str
    size: int
    rate: float = 1e12
    shared: float = 1e12
    rtt: float = 0.04
    jitter: float = 0.0
    burst: float = 0.0
    most: int = 1000
    reset_every: int = 0
    silent: tuple[int, int] | None = None
    change: tuple[float, float, float] | None = None
    seed: int = 0


@dataclass
class Result:
    """What a download has come to.

    Attributes:
        seconds: How long it took.
        mean: The mean number of connections.
        late: The mean number from second 10 on; None if it ended before.
        sent: Bytes that the store has sent, as a multiple of the size.
        targets: The tuner's target, each second.
    """

    seconds: float
    mean: float
    late: float | None
    sent: float
    targets: list[int]


class Flow:
    """One TCP connection."""

    def __init__(self, number, link, now):
        self.number = number
        self.link = link
        self.rng = random.Random(f"{link.seed}/{number}")
        self.phase = self.rng.random() * link.burst
        self.window = WINDOW
        self.ready_at = now + link.rtt
        self.idle_since = None
        self.carried = self.pending = self.rate = 0.0
        self.factor, self.factor_until = 1.0, 0.0

    def request(self, now):
        """Ask for a range. Its first byte comes a round trip after the connection is open."""
        if self.idle_since is not None and now - self.idle_since > max(0.2, 2 * self.link.rtt):
            self.window = WINDOW
        self.idle_since = None
        self.ready_at = max(now, self.ready_at) + self.link.rtt

    def demand(self, now, rate):
        """Return the bytes a second that it could carry now."""
        silent = self.link.silent
        if silent is not None and self.number == silent[0] and self.carried >= silent[1]:
            return 0.0
        if self.link.jitter and now >= self.factor_until:
            self.factor, self.factor_until = self.rng.lognormvariate(0, self.link.jitter), now + 0.1
        return min(rate * self.factor, self.window / max(self.link.rtt, 1e-3))

    def carry(self, amount, seconds, lacks, now):
        """Carry bytes for some seconds, of those that the request still lacks. Return how many arrive."""
        rtt, self.rate = max(self.link.rtt, 1e-3), amount / seconds
        if self.rate >= 0.9 * self.window / rtt:
            self.window *= 2 ** min(seconds / rtt, 10)
        elif 0 < amount < lacks:
            self.window = max(WINDOW, min(self.window, 4 * self.rate * rtt))
        self.carried += amount
        if not self.link.burst:
            return amount
        self.pending += amount
        ends = int((now + self.phase) / self.link.burst) != int((now + self.phase - TICK) / self.link.burst)
        arrived, self.pending = (self.pending, 0.0) if ends else (0.0, self.pending)
        return arrived


class Worker:
    """One connection of the product, and the span that it downloads."""

    def __init__(self):
        self.flow = None
        self.span = None
        self.asked = 0
        self.got = 0.0  # fractions of bytes
        self.proven = self.answered = False


class Download:
    """One simulated download.

    Args:
        link: The link.
        tuner: One with a fixed number of connections; None for the product's own.
    """

    def __init__(self, link, tuner=None):
        self.link = link
        self.plan = Plan(FIRST)
        self.fixed = tuner is not None
        self.tuner = tuner or Tuner(MOST, 0.0)
        self.workers = []
        self.now = 0.0
        self.transferred = 0
        self.sent = 0.0
        self.opened = 0
        self.rate, self.shared = link.rate, link.shared
        self.counts = []
        self.targets = []

    def run(self, limit=50_000.0):
        """Run it to its end. Return the result."""
        while not self.plan.complete:
            self.now += TICK
            if self.now > limit:
                raise TimeoutError(self.link.name)
            self._change()
            self._deliver()
            self._steer()
            self.counts.append(len(self.workers))
            if len(self.counts) % 20 == 1:
                self.targets.append(self.tuner.target)
        late = self.counts[round(10 / TICK):]
        return Result(
            self.now,
            sum(self.counts) / len(self.counts),
            sum(late) / len(late) if late else None,
            self.sent / self.link.size,
            self.targets,
        )

    def _change(self):
        if self.link.change is not None and self.transferred >= self.link.change[0] * self.link.size:
            _, self.rate, self.shared = self.link.change

    def _deliver(self):
        flowing = [one for one in self.workers if one.flow.ready_at < self.now and one.span.left > 0]
        demands = {}
        for worker in flowing:
            if not worker.answered:
                worker.answered = True
                worker.span.answered, worker.span.moved_at = True, self.now
                waited = worker.flow.ready_at - worker.span.began
                self.plan.latency = min(self.plan.latency or waited, waited)
            if self.plan.size is None:
                self.plan.set_size(self.link.size, worker.span)
                worker.asked = worker.span.stop
            lacks = worker.asked - worker.span.pos - worker.got - worker.flow.pending
            seconds = min(TICK, self.now - worker.flow.ready_at)
            demands[worker] = min(worker.flow.demand(self.now, self.rate) * seconds, lacks) if lacks >= 1 else 0.0
        shared, waiting = self.shared * TICK, len(demands)
        for worker in sorted(demands, key=demands.get):  # fairly: nobody gets more than an equal share or its demand
            amount = min(demands[worker], shared / waiting)
            shared, waiting = shared - amount, waiting - 1
            self._arrive(worker, amount)

    def _arrive(self, worker, amount):
        flow, span = worker.flow, worker.span
        seconds = min(TICK, self.now - flow.ready_at)
        arrived = flow.carry(amount, seconds, worker.asked - span.pos - worker.got - flow.pending, self.now)
        worker.got += arrived
        if worker.asked - span.pos - worker.got < 1:
            worker.got = worker.asked - span.pos
        whole = int(worker.got)
        if not whole:
            return
        worker.proven = True
        self.sent += min(whole, span.left)
        whole = min(whole, span.left)
        worker.got = 0.0 if whole == span.left else worker.got - whole
        self.transferred += whole
        self.plan.wrote(span, whole)
        if not span.left:
            self._end(worker)
        elif self.link.reset_every and flow.carried >= self.link.reset_every:
            self._close(worker)
            worker.span, span = None, worker.span
            self.plan.give_back(span)

    def _end(self, worker):
        """End a span that is complete or was shortened."""
        if worker.asked > worker.span.stop:
            self._close(worker)
        else:
            worker.flow.idle_since = self.now
        self.plan.give_back(worker.span)
        worker.span = None

    def _close(self, worker):
        flow = worker.flow
        self.sent += min(worker.asked - worker.span.pos, flow.rate * self.link.rtt + flow.pending)  # is under way
        worker.flow = None
        worker.got = 0.0

    def _steer(self):
        plan, tuner = self.plan, self.tuner
        plan.look(self.now)
        for span in list(plan.laggards(tuner.target, self.now)):
            worker = next(one for one in self.workers if one.span is span)
            self._close(worker)
            plan.give_back(span)
            worker.span = None
        for worker in self.workers:
            if worker.span is not None and self.now - worker.span.moved_at > TIMEOUT:
                self._close(worker)
                plan.give_back(worker.span)
                worker.span = None
        if not self.fixed:
            tuner.most = tuner.wanted(MOST) if plan.has_work else tuner.target
        working = sum(one.proven for one in self.workers)
        tuner.observe(
            self.now, self.transferred, left=plan.left, working=working, latency=plan.latency, gap=plan.gap
        )
        for span in plan.surplus(tuner.target):
            plan.shorten(span, span.pos)
        for worker in list(self.workers):
            if worker.span is not None and not worker.span.left:
                self._end(worker)
            if worker.span is None:
                self._take(worker)
        while len(self.workers) < tuner.target and plan.has_work:
            self.workers.append(Worker())
            if not self._take(self.workers[-1]):
                break

    def _take(self, worker):
        worker.span = self.plan.take(self.tuner.target, self.now)
        if worker.span is None:
            self.workers.remove(worker)
            return False
        if worker.flow is None:
            if sum(one.flow is not None for one in self.workers) >= self.link.most:
                self.plan.give_back(worker.span)
                self.workers.remove(worker)
                self.tuner.refuse(self.now, len(self.workers))
                return False
            worker.flow = Flow(self.opened, self.link, self.now)
            self.opened += 1
        worker.flow.request(self.now)
        worker.answered = False
        worker.asked = worker.span.stop
        return True


def best_fixed(link, numbers=(1, 2, 3, 4, 6, 8, 12, 16)):
    """Return the result of the best fixed number of connections, and the number."""
    results = [(Download(link, Tuner.fixed(number, 0.0)).run(), number) for number in numbers]
    return min(results, key=lambda result: result[0].seconds)


def variations(count, seed=1):
    """Return ``count`` links of all kinds, with the size that an object needs for the time drawn."""
    rng = random.Random(seed)
    links = []
    while len(links) < count:
        rate = 10 ** rng.uniform(-0.7, 2) * 1e6
        full = rng.choice([1, 1, 2, 3, 5, 8, 16, 40])  # connections that fill the link
        link = Link(
            "", 0, rate=rate, shared=min(rate * full, FASTEST), rtt=10 ** rng.uniform(-3, -0.4), seed=len(links)
        )
        if full == 1 and rng.random() < 0.5:
            link = dataclasses.replace(link, rate=1e12)
        kind = rng.choice(["steady", "steady", "jitter", "burst", "most", "reset", "silent", "change"])
        best = min(link.shared, 16 * rate)
        seconds = 10 ** rng.uniform(0.6, 2)
        if kind == "jitter":
            link = dataclasses.replace(link, jitter=rng.uniform(0.1, 0.7))
        elif kind == "burst":
            link = dataclasses.replace(link, burst=rng.uniform(0.05, 1.0))
        elif kind == "most":
            link = dataclasses.replace(link, most=rng.randrange(1, 12))
            best = min(best, link.most * rate)
        elif kind == "reset":
            link = dataclasses.replace(link, reset_every=int(rate * rng.uniform(2, 8)))
        elif kind == "silent":
            link = dataclasses.replace(link, silent=(rng.randrange(8), int(rate * rng.uniform(0.1, 2))))
        elif kind == "change":
            other = rate * rng.choice([0.2, 0.5, 2, 5])
            after = (rng.uniform(0.2, 0.7), other, other * rng.choice([1, 3, 8, 1e6]))
            link = dataclasses.replace(link, change=after)
        size = int(min(max(best * seconds, 1 << 20), 10 << 30))
        name = f"{kind} {size >> 20} MiB, {rate / 1e6:.2g} MB/s each, {full if full < 40 else 'all'} fill it"
        name += f", {link.rtt * 1e3:.0f} ms"
        links.append(dataclasses.replace(link, name=name, size=size))
    return links
