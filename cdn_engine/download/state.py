"""What the threads of one download share, under one lock."""

import time

from cdn_engine.download.answer import Version
from cdn_engine.download.connection import Connection
from cdn_engine.download.plan import Plan
from cdn_engine.download.settings import Settings
from cdn_engine.download.tuner import Tuner
from cdn_engine.shared_state import SharedState
from cdn_engine.wire.deadline import Deadline

__all__ = ["State"]

# A request without an answer gives its range back after this many seconds, or after so many times what the slowest
# answer took.
_ANSWER = 3.0
_SLOW_ANSWERS = 4


class State(SharedState):
    """The shared state.

    Args:
        settings: Sizes and limits.
        pinned: The digest that the caller requires; None for the one in the object's metadata.
        deadline: When the download has to be done.

    Attributes:
        lock: Guards everything below.
        if_match: False once the store has refused ``If-Match``.
        failure: The last failure of an attempt, for the deadline's message.
        transferred: Bytes of bodies received.
        resumed_from: Bytes that an earlier call has left.
        version: What is known about the object.
        plan: Its bytes.
        connections: The requests under way.
        tuner: How many there should be.
        slowest_answer: Seconds that the slowest answer took.
        given_up: How many times since the last answer requests without one were cut.
        digest_pending: True while a thread hashes what has been written.
        error: The reason why the download ends; None as long as it does not.
        stopping: True once the threads have to end.
    """

    def __init__(self, settings: Settings, pinned: str | None, deadline: Deadline) -> None:
        super().__init__()
        self._settings = settings
        self._pinned = pinned
        self.deadline = deadline
        self.if_match = True
        self.failure: BaseException | None = None
        self.transferred = 0
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
        self.tuner = Tuner(self._settings.connections, time.monotonic(), self.transferred)
        self.slowest_answer = 0.0
        self.given_up = 0
        self.digest_pending = False
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

    def take(self) -> Connection | None:
        """Return a request for the next span; None if no further connection is needed."""
        with self.lock:
            span = None if self.ending else self.plan.take(self.tuner.target)
            if span is None:
                return None
            connection = Connection(span, self.transferred, self.given_up)
            self.connections.append(connection)
            return connection

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
            self.slowest_answer = max(self.slowest_answer, now - connection.began)
            self.given_up = 0
            connection.watch(now)
            connection.answered = connection.delivering = True

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

    def cut_silent(self, now: float, read_timeout: float | None) -> None:
        """Cut the connections that deliver next to nothing, and those without an answer while others deliver."""
        with self.lock:
            patience = max(_ANSWER, _SLOW_ANSWERS * self.slowest_answer)
            for connection in self.connections:
                if read_timeout is not None:
                    connection.cut_if_stalled(now, read_timeout)
                if connection.received_beside(self.transferred) and connection.cut_if_unanswered(now, patience):
                    self.given_up = connection.given_up + 1

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
