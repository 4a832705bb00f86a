"""What the threads of one download share, under one lock."""

import time
from collections import deque
from typing import Protocol

from cdn_engine import budget
from cdn_engine.download.answer import Version
from cdn_engine.download.connection import Connection
from cdn_engine.download.opening import Opened
from cdn_engine.download.plan import Plan
from cdn_engine.download.settings import Settings
from cdn_engine.download.span import Span
from cdn_engine.phases import OUTAGE, RECEIVING, RETRYING, VERIFYING
from cdn_engine.shared_state import SharedState
from cdn_engine.tuner import Tuner
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.pace import Pace

__all__ = ["State"]

# A request without an answer gives its range back after this many seconds, or after so many times what the slowest
# answer took; sooner if another connection has nothing else to do.
_ANSWER = 3.0
_ANSWER_AT_THE_END = 1.0
_SLOW_ANSWERS = 4

_CPU_LOOK = 0.05  # seconds between two looks at the use of the CPU,
_CPU_LOOKS = 4  # over so many of which it is averaged


class Exchange(Protocol):
    """What hashes the file takes buffers whose bytes come next, so that it need not read these."""

    def exchange(self, start: int, buffer: memoryview, amount: int) -> memoryview: ...


class State(SharedState):
    """The shared state.

    Args:
        settings: Sizes and limits.
        pinned: The digest that the caller requires; None for the one in the object's metadata.
        deadline: When the download has to be done.
        opened: The first request, if it has been made already.

    Attributes:
        pace: The bandwidth limits.
        lock: Guards everything below.
        if_match: False once the store has refused ``If-Match``.
        failure: The last failure of an attempt, for the deadline's message.
        failing_since: When the first request failed after bytes had been received; None while they are.
        transferred: Bytes of bodies received.
        cpu: Seconds of CPU time that receiving them has taken.
        resumed_from: Bytes that an earlier call has left.
        version: What is known about the object.
        plan: Its bytes.
        connections: The requests under way.
        tuner: How many there should be.
        slowest_answer: Seconds that the slowest answer took.
        given_up: How many times since the last answer requests without one were cut.
        digest_pending: True while a thread hashes what has been written.
        hasher: That thread; None without one.
        error: The reason why the download ends; None as long as it does not.
        stopping: True once the threads have to end.
    """

    def __init__(
        self, settings: Settings, pinned: str | None, deadline: Deadline, opened: Opened | None = None
    ) -> None:
        super().__init__()
        self._settings = settings
        self._pinned = pinned
        self.deadline = deadline
        self._opened = opened
        self.pace = Pace(settings.bandwidth)
        self._share = budget.enter()
        self.if_match = True
        self.failure: BaseException | None = None
        self.failing_since: float | None = None
        self.transferred = 0
        self.cpu = 0.0
        self.resumed_from = 0
        self.forget()
        self.begin()

    def forget(self, ranged: bool = True) -> None:
        """Forget the object and what is on disk of it, but whether ranges can be used."""
        with self.lock:
            self.version = self.new_version()
            self.plan = Plan(self._settings.first, self._settings.part, ranged)
            self.resumed_from = 0

    def new_version(self) -> Version:
        """Return a version of which nothing is known."""
        return Version(self._pinned)

    def begin(self) -> None:
        """Reset what belongs to one attempt at the whole download."""
        self.connections: list[Connection] = []
        now, self._most = time.monotonic(), self._settings.connections
        self.tuner = Tuner.fixed(self._most, now) if self._settings.fixed else Tuner(self._most, now, self.transferred)
        self._cpu_looks = deque([(now, self.cpu)], maxlen=_CPU_LOOKS)
        self.slowest_answer = 0.0
        self.given_up = 0
        self.digest_pending = False
        self.hasher: Exchange | None = None
        self.error: Exception | None = None
        self.stopping = False

    @property
    def ending(self) -> bool:
        return self.stopping or self.error is not None

    @property
    def over(self) -> bool:
        """True if all bytes are on disk and hashed as far as a thread hashes them, or the download has failed."""
        with self.lock:
            return self.error is not None or (self.plan.complete and not self.digest_pending)

    @property
    def resumable(self) -> bool:
        """True if bytes of two requests can be told to be of the same object."""
        return self.plan.size is not None and self.version.recognizable

    @property
    def kept(self) -> str:
        """What the next call can resume from, for messages."""
        if not self.plan.on_disk or not self.resumable:
            return "nothing was kept"
        return f"{self.plan.on_disk} of {self.plan.size} bytes are kept for the next call"

    def phase(self, now: float, hashed: int) -> tuple[str, int, int | None]:
        """Return what the download is doing, how many bytes have been read in that, and how many the object has.

        Args:
            now: The time.
            hashed: Bytes that have been hashed.
        """
        with self.lock:
            if self.plan.complete:
                return VERIFYING, hashed, self.plan.size
            is_failing = self.failing_since is not None and now - self.failing_since >= OUTAGE
            return (RETRYING if is_failing else RECEIVING), 0, self.plan.size

    def take(self, proven: bool) -> Connection | None:
        """Return a request for the next span; None if no further connection is needed.

        Args:
            proven: True if the calling thread has received something before.
        """
        with self.lock:
            opened = self._opened
            if self.plan.size is not None:
                self.close_opened()  # an earlier call has left something, and the request asks for other bytes
                opened = None
            now = time.monotonic() if opened is None else opened.began
            span = None if self.ending else self.plan.take(self.tuner.target, now)
            if span is None:
                return None
            self._opened = None
            connection = Connection(span, self.transferred, self.given_up, proven, opened)
            self.connections.append(connection)
            return connection

    def close_opened(self) -> None:
        """Let go of the first request, if it has been made for nothing."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def release(self, connection: Connection) -> None:
        """End a request, and give back what is left of its span."""
        with self.lock:
            self.connections.remove(connection)
            self.plan.give_back(connection.span)
            self.notify()

    def answered(self, connection: Connection) -> None:
        """Take note that the body of an answer begins."""
        now = time.monotonic()
        with self.lock:
            seconds = now - connection.began if connection.opened is None else connection.opened.latency
            self.slowest_answer = max(self.slowest_answer, seconds)
            self.plan.latency = min(self.plan.latency or seconds, seconds)
            self.given_up = 0
            connection.span.answered = True
            connection.deliver(now)

    def is_carried_by_others(self, connection: Connection) -> bool:
        """Return True if others have received something since this request began, or may do so yet."""
        with self.lock:
            others = any(one.cut_off is None for one in self.connections if one is not connection)
            return others or connection.received_beside(self.transferred)

    def refuse(self, others: int, pause: float = 0.0) -> None:
        """Go on with the ``others``, because one more connection could not be had.

        Args:
            others: The connections that remain.
            pause: Seconds for which the store wants no further connection.
        """
        with self.lock:
            self.tuner.refuse(time.monotonic(), others, pause)

    def stay_at_one(self) -> None:
        """Use one connection from now on. The lock must be held."""
        self._most = 1  # or the next look at the budget would raise the tuner's limit again
        self.tuner.stay_at_one()

    def steer(self, now: float, read_timeout: float | None) -> None:
        """Adapt the number of connections, and cut those that hold up the others."""
        with self.lock:
            self.plan.look(now)
            self._cut_silent(now, read_timeout)
            self._cut_unanswered(now)
            if not self._settings.fixed:
                wanted = self.tuner.wanted(self._most) if self.plan.has_work else self.tuner.target
                self.tuner.most = self._share.ask(wanted)
            self.tuner.observe(
                now,
                self.transferred,
                left=self.plan.left,
                working=sum(connection.proven for connection in self.connections),
                latency=self.plan.latency,
                gap=self.plan.gap,
                busy=1.0 if self.pace.is_full else self._measure_cpu(now),
            )
            for span in self.plan.surplus(self.tuner.target):
                self.plan.shorten(span, span.pos)
                self._connection_of(span).end()

    def leave_budget(self) -> None:
        """Leave the process's connections to other transfers."""
        self._share.leave()

    def _cut_silent(self, now: float, read_timeout: float | None) -> None:
        for span in self.plan.laggards(self.tuner.target, now):
            connection = self._connection_of(span)
            if connection.delivering and connection.cut_off is None:
                connection.cut("the connection is much slower than the others")
        if read_timeout is not None:
            for connection in self.connections:
                connection.cut_if_stalled(now, read_timeout)

    def _cut_unanswered(self, now: float) -> None:
        patience = _ANSWER_AT_THE_END if self.plan.is_idle(self.tuner.target) else _ANSWER
        patience = max(patience, _SLOW_ANSWERS * self.slowest_answer)
        for connection in self.connections:
            if connection.received_beside(self.transferred) and connection.cut_if_unanswered(now, patience):
                self.given_up = connection.given_up + 1

    def _measure_cpu(self, now: float) -> float:
        """Return the share of its time that a receiving thread lately had on the CPU."""
        since, cpu = self._cpu_looks[0]
        if now - self._cpu_looks[-1][0] >= _CPU_LOOK:
            self._cpu_looks.append((now, self.cpu))
        seconds = (now - since) * max(1, len(self.connections))
        return (self.cpu - cpu) / seconds if seconds else 0.0

    def _connection_of(self, span: Span) -> Connection:
        return next(connection for connection in self.connections if connection.span is span)

    def fail(self, error: Exception) -> None:
        """Make ``error`` the reason why the download ends, if it is the first."""
        with self.lock:
            if not self.ending:
                self.error = error
            self.notify()

    def stop(self) -> None:
        """Tell all threads to stop."""
        with self.lock:
            self.stopping = True
            for connection in self.connections:
                connection.cut("the download ends")
            self.notify()

    def wake(self) -> None:
        """Wake the threads that wait."""
        with self.lock:
            self.notify()

    def wait(self, seconds: float) -> bool:
        """Wait in a worker's thread; return True as soon as there is nothing more to download."""
        return self.wait_for(lambda: self.ending or self.plan.complete, seconds)
