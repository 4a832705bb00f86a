"""What the threads of one upload share: the reason why it ends, its deadline, its pace, and the bytes sent."""

import threading
import time
from collections.abc import Callable

from cdn_engine.errors import DeadlineExceededError, explain
from cdn_engine.shared_state import SharedState
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.pace import Pace

__all__ = ["Over", "State"]


class Over(Exception):
    """The upload has ended; ``State.ended_by`` says why."""


class State(SharedState):
    """The shared state.

    Args:
        name: Bucket and key, for messages.
        deadline: When the upload has to be done.
        bandwidth: Bytes a second; None for no limit.
        callback: Takes counts of bytes, in the thread that creates this object; None for no reports.

    Attributes:
        name: Bucket and key, for messages.
        lock: Guards everything below.
        ended_by: The exception that ends the upload; None as long as it does not.
        failure: The last failure of an attempt, for the deadline's message.
        sent: Bytes of bodies sent, those sent again included.
        moved_at: When something last got through to the store.
    """

    def __init__(
        self, name: str, deadline: Deadline, bandwidth: int | None = None,
        callback: Callable[[int], object] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.name = name
        self._deadline = deadline
        self._pace = Pace(bandwidth)
        self._callback = callback
        self._caller = threading.get_ident()
        self.ended_by: BaseException | None = None
        self.failure: BaseException | None = None
        self.sent = 0
        self._counted = 0
        self._reported = 0
        self.moved_at = time.monotonic()

    def end(self, error: BaseException) -> None:
        """Make ``error`` the reason why the upload ends, if it is the first."""
        with self.lock:
            self.ended_by = self.ended_by or error
            self.notify()

    def wait(self, seconds: float) -> bool:
        """Wait, and return True as soon as the upload has ended."""
        if threading.get_ident() == self._caller:  # it makes requests only while no other thread does
            time.sleep(seconds)
            return self.ended_by is not None
        return self.wait_for(lambda: self.ended_by is not None, seconds)

    def check_deadline(self, pause: float = 0.0) -> None:
        """End the upload if its deadline passes within ``pause`` seconds.

        Raises:
            Over: It does.
        """
        if not self._deadline.allows(pause):
            reason = "" if self.failure is None else f"; last failure: {explain(self.failure)}"
            self.end(DeadlineExceededError(f"the upload of {self.name} did not finish in time{reason}"))
            raise Over

    def about_to_send(self, amount: int, token: object) -> float:
        """Wait until ``amount`` bytes may pass. Return the time.

        Raises:
            Over: The upload has ended.
        """
        if self.ended_by is not None:
            raise Over
        self.check_deadline()
        self._pace.keep(amount, token, self.wait)
        return time.monotonic()

    def count_sent(self, amount: int) -> float:
        """Count bytes that a connection has taken, and report them if this is the calling thread. Return the time.

        Raises:
            Over: The caller's callback has ended the upload.
        """
        self.moved_at = now = time.monotonic()
        with self.lock:
            self._counted += amount
            self.sent += amount
        if threading.get_ident() == self._caller:
            try:
                self.report()
            except Exception as error:
                self.end(error)
                raise Over from error
        return now

    def take_back(self, amount: int) -> None:
        """Take bytes back that have to be sent again."""
        with self.lock:
            self._counted -= amount

    def report(self) -> None:
        """Call the callback with what has been counted since the last call. For the calling thread."""
        with self.lock:
            amount, self._reported = self._counted - self._reported, self._counted
        if amount and self._callback is not None:
            self._callback(amount)
