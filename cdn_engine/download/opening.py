"""The first request of a download, made in the calling thread, which reads a small object at once."""

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from cdn_engine.download.answer import Answer
from cdn_engine.download.remote import RemoteObject
from cdn_engine.errors import TRANSFER_ERRORS, DeadlineExceededError, StoreProtocolError, explain
from cdn_engine.phases import OUTAGE, RECEIVING, RETRYING, Progress
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.deadline import Deadline, no_time_left
from cdn_engine.wire.pace import Pace

__all__ = ["Opened", "Opening"]

_TICK = 0.05  # seconds
_HEARTBEAT = 0.5  # seconds after which progress is reported although nothing has moved

# A body that is not whole after the first of these, and will not be within the second, is for more connections.
_LOOK = 0.05  # seconds
_LONG = 0.25  # seconds

_KEPT = "nothing was kept"


class Opened:
    """A request that has been answered, and of whose body some has been read.

    Attributes:
        attempt: The request.
        began: When it was made.
        latency: Seconds that its answer took.
        response: Its answer, with this as the ``Body``.
        read_before: Bytes that ``read`` has left for ``readinto``.
    """

    def __init__(self, attempt: Attempt, began: float, response: dict[str, Any]) -> None:
        self.attempt = attempt
        self.began = began
        self.latency = time.monotonic() - began
        self.response = {**response, "Body": self}
        self._body = response["Body"]
        self._pace = Pace()
        self._content = memoryview(b"")  # what has been read
        self.read_before = 0
        self._failure: Exception | None = None  # that came after it

    def read(self, size: int, look: Callable[[int], object], wait: Callable[[float], object]) -> memoryview:
        """Return all of the body, which has ``size`` bytes.

        Args:
            size: Its length in bytes.
            look: Called with the number of bytes read so far. What it raises leaves the body to be read on.
            wait: Called with the seconds to wait for a bandwidth limit. As for ``look``.
        """
        content, done = memoryview(bytearray(size)), 0
        try:
            while done < size:
                count = self._body.readinto(content[done:done + self._pace.piece])
                if not count:
                    raise StoreProtocolError(f"the body ended at byte {done}")
                done += count
                look(done)
                self._pace.keep(count, wait)
        except TRANSFER_ERRORS as error:
            self._failure = error
            raise
        finally:
            self._content, self.read_before = content[:done], done
        return content

    def readinto(self, buffer: memoryview) -> int:
        """Read as ``Stream.readinto`` does, from the beginning."""
        if self._content:
            count = min(len(buffer), len(self._content))
            buffer[:count], self._content = self._content[:count], self._content[count:]
            return count
        if self._failure is not None:
            raise self._failure
        return int(self._body.readinto(buffer))

    def close(self) -> None:
        """Let go of the connection."""
        self._body.close()


class Slow(Exception):
    """The body takes long enough for more connections to share it."""


class Opening:
    """The first request.

    Args:
        remote: The object.
        first: How many bytes to ask for.
        deadline: When the download has to be done.
        progress: Called with 0 about twice a second; is told when the store is retried.

    Thread-safety: for the calling thread.
    """

    def __init__(
        self, remote: RemoteObject, first: int, deadline: Deadline, progress: Progress
    ) -> None:
        self._remote = remote
        self._first = first
        self._deadline = deadline
        self._progress = progress
        self._called_at = time.monotonic()
        self._failure: Exception | None = None
        self._failing_since: float | None = None
        self._ended_by: BaseException | None = None
        self._size = self._done = 0
        self._answered_at: float | None = None

    def ask(self) -> Opened:
        """Make the request, as often as that makes sense."""
        failures, ranged = 0, True
        while True:
            attempt, began = Attempt(pulse=self.pulse), time.monotonic()
            try:
                wanted = {"Range": f"bytes=0-{self._first - 1}"} if ranged else {}
                opened = Opened(attempt, began, self._remote.get(attempt, wanted))
            except Exception as error:
                if error is self._ended_by:
                    raise
                if ranged and isinstance(error, ClientError) and retry.status_of(error) == 416:
                    ranged = False  # some stores do not like ranges of empty objects
                    continue
                failures += 1
                self._rest(error, failures)
            else:
                self._failing_since = None
                self._progress.phase(RECEIVING)
                return opened

    def read(self, opened: Opened, answer: Answer) -> memoryview | None:
        """Return the object if it is whole in this answer, and comes soon; None if more connections may help."""
        total = answer.total
        if total is None or answer.first or (answer.last is not None and answer.last + 1 < total):
            return None
        if total > self._first or "ContentLength" not in opened.response:
            return None
        self._size, self._answered_at = total, time.monotonic()
        try:
            return opened.read(total, self._look, self._wait)
        except Slow:
            return None
        except TRANSFER_ERRORS as error:
            if error is self._ended_by:
                raise
            return None  # others ask for the rest

    def pulse(self) -> None:
        """Report progress every now and then, and watch the deadline. For waits of the calling thread."""
        try:
            now = time.monotonic()
            if self._failing_since is not None and now - self._failing_since >= OUTAGE:
                self._progress.phase(RETRYING)
            if now - self._called_at >= _HEARTBEAT:
                self._called_at = now
                self._progress(0)
            if not self._deadline.allows():
                reason = "" if self._failure is None else f"last failure: {explain(self._failure)}; "
                raise DeadlineExceededError(f"the deadline passed; {reason}{_KEPT}")
        except BaseException as error:
            self._ended_by = error
            raise
        if self._answered_at is not None:
            self._look(self._done)

    def _look(self, done: int) -> None:
        """Raise ``Slow`` if the body will not be whole soon."""
        assert self._answered_at is not None
        self._done, seconds = done, time.monotonic() - self._answered_at
        if seconds > _LOOK and (self._size - done) * seconds > _LONG * done:
            raise Slow

    def _rest(self, error: Exception, failures: int) -> None:
        """Wait until the next attempt, or raise why there is to be none."""
        self._failure = error
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        pause = retry.delay(error, failures, self._remote.name)
        if pause is None:
            raise error
        if not self._deadline.allows(pause):
            raise no_time_left(error, _KEPT)
        self._wait(pause)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK))
            self.pulse()
