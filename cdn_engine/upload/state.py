"""What the threads of one upload share: the reason why it ends, its deadline, its pace, and the bytes sent."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Optional

from cdn_engine.errors import DeadlineExceededError, explain
from cdn_engine.phases import OUTAGE, READING, RETRYING, Progress
from cdn_engine.shared_state import SharedState
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.pace import Pace

__all__ = ["Over", "State"]

_TICK = 0.05  # seconds between two looks at the clock in the calling thread
_LONGEST_SILENCE = 0.4  # seconds between two reports, so that a callback can end an upload that does not move
_LONGEST_PAUSE = 10.0  # seconds that a body waits: AWS breaks a request that is silent for 20
_FOREVER = 3600.0  # seconds; longer than any wait that is not renewed


class Over(Exception):
    """The upload has ended; ``State.ended_by`` says why."""


class State(SharedState):
    """The shared state.

    Args:
        name: Bucket and key, printable, for the log.
        deadline: When the upload has to be done.
        bandwidth: Bytes a second; None for no limit.
        callback: Takes counts of bytes, and maybe the phase, in the calling thread; None for no reports.
        aftermath: The state of what follows the end of the upload: its abort. None for the aftermath itself.

    Attributes:
        name: Bucket and key, printable, for the log.
        deadline: When the upload has to be done.
        aftermath: See above.
        pace: The bandwidth limits.
        lock: Guards everything below.
        ended_by: The exception that ends the upload; None as long as it does not.
        interrupted_by: The exception in the calling thread, such as Ctrl-C, that does; None without one.
        failure: The last failure of an attempt, for the deadline's message.
        phase: What the upload is doing, one of ``phases``.
        read: Bytes that have been read or hashed in this phase.
        size: Bytes of the payload; None as long as that is not known.
        sent: Bytes of bodies sent, those sent again included.
        counted: Bytes that the store has or is being sent, but for those that have to be sent again.
        resumed: Bytes of them that an earlier call had sent.
        longest_gap: The longest time in seconds that a connection took for one piece.
        paused: The bodies that wait, because there are to be fewer connections.
        moved_at: When something last got through to the store.
        needs_md5: True if the store wants ``Content-MD5`` with every body.
        in_calling_thread: True while the calling thread makes the requests itself: it reports whenever it waits, and
            between the pieces of a body.
    """

    def __init__(
        self,
        name: str,
        deadline: Deadline,
        bandwidth: int | None = None,
        callback: Callable[[int], object] | None = None,
        aftermath: Optional["State"] = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.deadline = deadline
        self.aftermath = aftermath
        self.pace = Pace(bandwidth)
        self._progress = Progress(callback)
        self._attempts: set[Attempt] = set()
        self.ended_by: BaseException | None = None
        self.interrupted_by: BaseException | None = None
        self.failure: BaseException | None = None
        self._failing_since = -math.inf
        self.phase = READING
        self.read = 0
        self.size: int | None = None
        self.needs_md5 = False
        self.in_calling_thread = False
        self.sent = 0
        self.counted = 0
        self.resumed = 0
        self.longest_gap = 0.0
        self.paused: frozenset[object] = frozenset()
        self._impatient: set[object] = set()  # have waited for so long that they go on
        self._cpu: dict[int, float] = {}  # seconds of each thread that sends
        self._reported = self._to_report_first = 0
        self.moved_at = self._reported_at = time.monotonic()

    # For the threads that make requests

    def new_attempt(self) -> Attempt:
        """Return the attempt at a request of this thread."""
        return Attempt(pulse=self.pulse if self.in_calling_thread else None)

    @contextlib.contextmanager
    def running(self, attempt: Attempt) -> Iterator[None]:
        """Cut ``attempt`` if the upload ends while the block runs.

        Raises:
            Over: The upload has ended before.
        """
        with self.lock:
            if self.ended_by is not None:
                raise Over
            self._attempts.add(attempt)
        try:
            yield
        finally:
            with self.lock:
                self._attempts.discard(attempt)

    def end(self, error: BaseException) -> None:
        """Make ``error`` the reason why the upload ends, if it is the first, and cut its requests."""
        with self.lock:
            self.ended_by = self.ended_by or error
            for attempt in self._attempts:
                attempt.cut()
            self.notify()

    def wait(self, seconds: float) -> bool:
        """Wait, and return True as soon as the upload has ended; in the calling thread, raise ``Over`` instead."""
        if not self.in_calling_thread:
            return self.wait_for(lambda: self.ended_by is not None, seconds)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.wait_for_news(min(left, _TICK))
            self.pulse()
        return False

    def note_failure(self, error: BaseException) -> None:
        """Take note that an attempt has failed."""
        with self.lock:
            self.failure = error
            if self._failing_since <= self.moved_at:
                self._failing_since = time.monotonic()

    def enter(self, phase: str) -> None:
        """Begin a phase. The calling thread reports it."""
        self.phase, self.read = phase, 0

    def note_read(self, amount: int) -> None:
        """Take note of bytes that have been read in this phase, and keep watch. For the calling thread."""
        self.read += amount
        self.pulse()

    def out_of_time(self) -> DeadlineExceededError:
        """Return the failure of an upload whose deadline has passed, or will before another attempt."""
        reason = "" if self.failure is None else f"; last failure: {explain(self.failure)}"
        return DeadlineExceededError(f"the upload did not finish in time{reason}")

    def about_to_send(self, amount: int, body: object) -> None:
        """Wait until ``amount`` bytes of a body may pass.

        Raises:
            Over: The upload has ended.
        """
        if body in self.paused and not self.wait_for(
            lambda: body not in self.paused or self.ended_by is not None, _LONGEST_PAUSE
        ):
            with self.lock:
                self._impatient.add(body)
        self.check()
        self.pace.keep(amount, self.wait)

    def count_sent(self, amount: int, began: float) -> float:
        """Count bytes that a connection has taken since ``began``. Return the time."""
        self.moved_at = now = time.monotonic()
        with self.lock:
            self.counted += amount
            self.sent += amount
            self.longest_gap = max(self.longest_gap, now - began)
            self._cpu[threading.get_ident()] = time.thread_time()
        return now

    def take_back(self, amount: int) -> None:
        """Take bytes back that have to be sent again."""
        with self.lock:
            self.counted -= amount

    def resume(self, amount: int) -> None:
        """Count what an earlier call has sent."""
        with self.lock:
            self.counted += amount
            self.resumed = self._to_report_first = amount

    def start_over(self) -> None:
        """Take back everything: the store has lost it."""
        with self.lock:
            self.counted = self.resumed = self._to_report_first = 0

    def wait_until_reported(self) -> None:
        """Wait until the callback knows of every byte sent, so that it could have ended the upload.

        Raises:
            Over: It has, or something else.
        """
        with self.lock:
            self.notify()
        while not self.wait_for(lambda: self.ended_by is not None or self._reported == self.counted, _FOREVER):
            pass
        self.check()

    def check(self) -> None:
        """Raise ``Over`` if the upload has ended. A calling thread that makes the requests keeps watch first."""
        if self.in_calling_thread:
            self.pulse()
        elif self.ended_by is not None:
            raise Over

    # For the thread that leads

    def pause(self, bodies: Iterable[object]) -> None:
        """Let these bodies wait, and no others. The lock must be held."""
        self.paused = frozenset(bodies) - self._impatient
        self.notify()

    @property
    def cpu(self) -> float:
        """Seconds that the threads which send have spent on the CPU."""
        return sum(self._cpu.values())

    # For the calling thread

    def keep_watch(self) -> None:
        """Report what has been sent, 0 included every now and then, and end the upload at its deadline."""
        if self.ended_by is None:
            self.report()
            if not self.deadline.allows():
                self.end(self.out_of_time())
        elif self.aftermath is not None and not self.aftermath.deadline.allows():
            self.aftermath.end(self.aftermath.out_of_time())

    def pulse(self) -> None:
        """Keep watch while this thread makes a request itself.

        Raises:
            Over: The upload has ended.
        """
        try:
            self.keep_watch()
        except BaseException as error:  # of the callback, or Ctrl-C: no failure of the request, which is not retried
            self.interrupt(error)
        if self.ended_by is not None:
            raise Over

    def report(self) -> None:
        """Call the callback with what has been counted since the last call."""
        now = time.monotonic()
        is_failing = self.failure is not None and self.moved_at < self._failing_since <= now - OUTAGE
        name, read = (RETRYING, 0) if is_failing else (self.phase, self.read)
        self._progress.phase(name, read, self.size)
        with self.lock:
            amount = self._to_report_first or self._arrived() - self._reported
            self._to_report_first = 0
        if amount or now - self._reported_at > _LONGEST_SILENCE:
            self._reported_at = now
            self._progress(amount)
            with self.lock:
                self._reported += amount
                self._changed.notify_all()  # whoever waits in ``wait_until_reported``

    def _arrived(self) -> int:
        """Return how many bytes have arrived: on a slow link, those in the system's buffer take many seconds."""
        buffered = sum(attempt.unacknowledged() for attempt in self._attempts)
        return max(self.counted - buffered, min(self.counted, self._reported))  # a buffer that fills takes none back

    def interrupt(self, error: BaseException) -> None:
        """End the upload; if it has ended already, end its aftermath as well."""
        with self.lock:
            hurry = self.ended_by is not None
            self.interrupted_by = error
            self.end(error)
            if hurry and self.aftermath is not None:
                self.aftermath.end(error)
