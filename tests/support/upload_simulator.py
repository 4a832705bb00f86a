"""Simulates uploads in parts: the real tuner, with modelled links, connections and clock.

The links are those of ``simulator``. Parts are sent as the product does it: each connection has one, those beyond the
target pause in the middle of theirs, and what the system buffers counts as moved once it is on the link.
"""

from dataclasses import dataclass

from simulator import MOST, WINDOW, Flow

from cdn_engine.tuner import Tuner

PART = 5 << 20
UNSENT = 256 << 10  # bytes that the system buffers of each connection
SLICE = 0.005  # seconds between two looks at the link
TICK = 0.05  # seconds between two looks of the product, but in the beginning
IDLE = 0.2  # seconds after which a connection begins with slow start again
IMPATIENT = 10.0  # seconds for which a part pauses at most
PIECES = (16 << 10, 64 << 10, 256 << 10)  # bytes that the system is given at once: at least, at first and at most
SLOW_PIECE = 0.025  # seconds


@dataclass
class Outcome:
    """What an upload has come to.

    Attributes:
        seconds: How long it took.
        targets: The tuner's target, by time.
        unfinished: Bytes sent of parts that had not arrived, by time.
        finished: When each part arrived.
    """

    seconds: float
    targets: list[tuple[float, int]]
    unfinished: list[tuple[float, float]]
    finished: list[float]

    def reached(self, target):
        """Return when the target was so high for the first time; infinity for never."""
        return min((now for now, found in self.targets if found >= target), default=float("inf"))


class Sender:
    """One connection, and the part that it sends."""

    def __init__(self, flow, size):
        self.flow = flow
        self.begin(size)

    def begin(self, size):
        """Begin a part."""
        self.size = size
        self.sent = 0.0  # bytes on the link
        self.taken = 0  # bytes that the system has taken, as the product knows
        self.piece, self.piece_began = PIECES[1], None
        self.answered_at = None
        self.paused_at = None
        self.impatient = False

    def take(self, now):
        """Let the system take what its buffer has room for. Return the seconds of the slowest piece."""
        slowest = 0.0
        while self.taken < self.size:
            amount = min(self.piece, self.size - self.taken)
            self.piece_began = now if self.piece_began is None else self.piece_began
            if self.taken + amount > self.sent + UNSENT:
                break
            took, self.piece_began = now - self.piece_began, None
            self.taken += amount
            slowest = max(slowest, took)
            if took >= SLOW_PIECE:
                self.piece = max(self.piece // 2, PIECES[0])
            elif self.taken > UNSENT:
                self.piece = min(self.piece * 2, PIECES[2])
            elif self.taken == UNSENT:
                self.piece = PIECES[0]
        return slowest


class Upload:
    """One simulated upload.

    Args:
        link: The link; what it says of refusals and changes is not modelled.
        tuner: One with a fixed number of connections; None for the product's own.
    """

    def __init__(self, link, tuner=None):
        self.link = link
        self.tuner = tuner or Tuner(MOST, 0.0, part=PART)
        self.now = 0.0
        self.opened = 0
        self.left = link.size  # bytes of parts that nobody has begun
        self.arrived = 0
        self.gap = 0.0
        self.idle = []  # connections
        self.senders = []
        self.outcome = Outcome(0.0, [], [], [])

    def run(self, limit=5000.0):
        """Run it to its end. Return the outcome."""
        look_at = 0.0
        self._start()
        while self.arrived < self.link.size:
            self.now += SLICE
            assert self.now < limit, self.link.name
            self._carry()
            self._finish()
            if self.now >= look_at:
                self._look()
                look_at = self.now + min(TICK, self.now / 10)
            self._start()
        self.outcome.seconds = self.now
        return self.outcome

    def _active(self):
        return [one for index, one in enumerate(self.senders) if index < self.tuner.target or one.impatient]

    def _carry(self):
        active = self._active()
        for sender in self.senders:
            self._pause(sender, sender not in active)
        demands = {
            one: min(one.flow.demand(self.now, self.link.rate) * SLICE, one.size - one.sent)
            for one in active
            if one.flow.ready_at < self.now and one.sent < one.size
        }
        shared, waiting = self.link.shared * SLICE, len(demands)
        for sender in sorted(demands, key=demands.get):  # fairly, as in ``simulator``
            amount = min(demands[sender], shared / waiting)
            shared, waiting = shared - amount, waiting - 1
            sender.flow.carry(amount, SLICE, sender.size - sender.sent, self.now)
            sender.sent += amount
        for sender in active:
            self.gap = max(self.gap, sender.take(self.now))

    def _pause(self, sender, pauses):
        if pauses:
            sender.paused_at = self.now if sender.paused_at is None else sender.paused_at
            sender.impatient = self.now - sender.paused_at > IMPATIENT
        elif sender.paused_at is not None and not sender.impatient:
            if self.now - sender.paused_at > IDLE:
                sender.flow.window = WINDOW
            sender.paused_at, sender.piece_began = None, None

    def _finish(self):
        for sender in list(self.senders):
            if sender.size - sender.sent < 1 and sender.answered_at is None:
                sender.answered_at = self.now + self.link.rtt
            if sender.answered_at is not None and self.now >= sender.answered_at:
                self.senders.remove(sender)
                self.idle.append(sender.flow)
                self.arrived += sender.size
                self.outcome.finished.append(self.now)

    def _start(self):
        while self.left and len(self.senders) < self.tuner.target:
            flow = self.idle.pop() if self.idle else self._connect()
            self.senders.append(Sender(flow, min(PART, self.left)))
            self.left -= self.senders[-1].size

    def _connect(self):
        flow = Flow(self.opened, self.link, self.now)
        if not self.opened:
            flow.ready_at = self.now  # it is there since the upload was created
        self.opened += 1
        return flow

    def _look(self):
        active = self._active()
        buffered = sum(min(one.taken, UNSENT) for one in self.senders)
        taken = self.arrived + sum(one.taken for one in self.senders)
        self.tuner.observe(
            self.now,
            taken - buffered,
            left=self.link.size - taken + buffered,
            working=sum(one.taken > UNSENT for one in active),
            latency=self.link.rtt * (1 if self.arrived else 2),  # the first request had to open the connection
            gap=min(self.gap, 1.0),
        )
        self.outcome.targets.append((self.now, self.tuner.target))
        self.outcome.unfinished.append((self.now, sum(one.sent for one in self.senders)))
