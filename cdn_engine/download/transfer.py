"""The calling thread's part of a download: starts and watches the threads, verifies the file and installs it."""

import contextlib
import threading
import time
from collections.abc import Callable

from boto3.s3.transfer import TransferConfig

from cdn_engine import threads
from cdn_engine.download.answer import Changed, Unranged
from cdn_engine.download.checkpoint import Checkpoint
from cdn_engine.download.hasher import Hasher
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import Settings
from cdn_engine.download.state import State
from cdn_engine.download.worker import Worker
from cdn_engine.errors import CDNError, DeadlineExceededError, IntegrityError, ObjectChangedError, explain
from cdn_engine.result import TransferResult
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.pace import Pace

__all__ = ["Transfer"]

_TICK = 0.05  # seconds between two looks of the calling thread
_JOURNAL_INTERVAL = 1.0  # seconds
_RESTARTS = 3  # an object that is replaced more often during one download is an error


class Transfer:
    """One download, from its first request to the installed file.

    Args:
        remote: The object.
        partial: The unfinished file, whose lock is held.
        pinned: The digest that the caller requires; None for the one in the object's metadata.
        deadline: When it has to be done.
        callback: Takes counts of bytes, whose sum is what is on disk; None for no reports.
        config: The caller's ``TransferConfig``; None for our own settings.

    Thread-safety: for the calling thread.
    """

    def __init__(
        self,
        remote: RemoteObject,
        partial: Partial,
        pinned: str | None,
        deadline: Deadline,
        callback: Callable[[int], object] | None,
        config: TransferConfig | None,
    ) -> None:
        settings = Settings.of(config)
        self._remote = remote
        self._partial = partial
        self._callback = callback
        self._pace = Pace(settings.bandwidth)
        self._state = State(remote.name, settings, pinned, deadline)
        self._checkpoint = Checkpoint(remote, self._state, partial)
        self._workers: list[threading.Thread] = []
        self._hasher: Hasher | None = None
        self._reported = 0

    def run(self) -> TransferResult:
        """Download, verify, install."""
        self._checkpoint.restore()
        self._report()
        for _ in range(_RESTARTS + 1):
            try:
                self._download()
            except Changed:
                continue
            except Unranged:
                self._state.plan.ranged = False
            else:
                return self._result()
        raise ObjectChangedError(
            f"{self._remote.name} was replaced again and again during the download: try again later"
        )

    def _result(self) -> TransferResult:
        state, version, size = self._state, self._state.version, self._state.plan.size
        assert size is not None
        return TransferResult(
            self._remote.bucket,
            self._remote.key,
            size,
            version.etag and version.etag.strip('"'),
            version.sha256,
            version.sha256 is not None,
            state.transferred,
            state.resumed_from,
            version.version_id,
        )

    def _download(self) -> None:
        """Download all missing bytes, verify, install. What arrived before a failure is kept for the next call."""
        self._state.begin()
        self._workers, self._hasher = [], None
        self._partial.create()
        try:
            self._supervise()
            self._join()
            self._verify()
            self._partial.install()
        except (Changed, Unranged):
            self._state.stopping = True  # set before anything is called, where another Ctrl-C could come
            self._stop()
            self._checkpoint.discard()
            self._report()
            raise
        except BaseException as error:
            self._state.stopping = True
            self._stop()
            with contextlib.suppress(CDNError, OSError):  # the first failure is the one to report
                self._clean_up(error)
            self._report()
            raise

    def _clean_up(self, error: BaseException) -> None:
        """Leave on disk what a later call can use."""
        if self._partial.size() is None:  # it has its final name already
            self._partial.journal.remove()
        elif isinstance(error, IntegrityError):
            self._checkpoint.discard()
        else:
            self._checkpoint.keep()

    def _supervise(self) -> None:
        """Look after threads, progress, deadline and journal until all bytes are on disk."""
        state, saved_at = self._state, time.monotonic()
        while not state.over:
            self._start_threads()
            state.wait_for_news(_TICK)
            self._report()
            self._check_deadline()
            now = time.monotonic()
            self._tune(now)
            if now - saved_at >= _JOURNAL_INTERVAL and not state.over:
                self._checkpoint.save()
                saved_at = time.monotonic()
        self._report()
        if state.error is not None:
            raise state.error

    def _start_threads(self) -> None:
        state = self._state
        with state.lock:
            if state.error is not None:
                return
            self._workers = [worker for worker in self._workers if worker.is_alive()]
            count = state.tuner.target - len(self._workers) if state.plan.has_work else 0
            # Not before an answer has confirmed the object; and not at all for an object of one part, which is hashed
            # once it is here: a thread would cost more than it gains.
            wanted = state.version.sha256 is not None and state.transferred > 0 and not state.plan.is_one_part
            hashes = wanted and self._hasher is None
            state.digest_pending |= hashes
        for _ in range(count):
            worker = Worker(self._remote, state, self._partial, self._pace)
            self._workers.append(worker)
            threads.start(worker)
        if hashes:
            self._hasher = Hasher(state, self._partial)
            threads.start(self._hasher)

    def _tune(self, now: float) -> None:
        """Cut stalled connections, and adapt the number of connections."""
        state, timeout = self._state, self._remote.read_timeout
        with state.lock:
            if timeout:
                for connection in state.connections:
                    connection.cut_if_stalled(now, timeout)
            delivering = sum(connection.delivering for connection in state.connections)
            state.tuner.observe(now, state.transferred, delivering)

    def _check_deadline(self) -> None:
        state = self._state
        if not state.deadline.allows():
            reason = "" if state.failure is None else f"last failure: {explain(state.failure)}; "
            raise DeadlineExceededError(f"the deadline passed; {reason}{state.kept}")

    def _report(self) -> None:
        with self._state.lock:
            count, self._reported = self._state.plan.on_disk - self._reported, self._state.plan.on_disk
        if count and self._callback is not None:
            self._callback(count)

    def _stop(self) -> None:
        """End all threads. What they have written by then counts."""
        self._state.stop()
        self._join()

    def _join(self) -> None:
        threads.join([*self._workers, *filter(None, [self._hasher])])

    def _verify(self) -> None:
        """Compare the digest of the complete partial."""
        state = self._state
        if state.version.sha256 is None:
            return
        if self._hasher is None:
            self._hasher = Hasher(state, self._partial)
            self._hasher.run()
            if state.error is not None:
                raise state.error
        found = self._hasher.digest.hexdigest()
        if found != state.version.sha256:
            raise IntegrityError(
                f"{self._remote.name} should have the SHA-256 {state.version.sha256}, but the downloaded content has "
                f"{found}: nothing was installed"
            )
