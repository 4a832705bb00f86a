"""The calling thread's part of a download: starts and watches the threads, verifies the file and installs it.

It waits for no disk and no connection itself, so that Ctrl-C, the deadline and the callback are never held up.
"""

import contextlib
import errno
import threading
import time
from collections.abc import Callable

from cdn_engine import threads
from cdn_engine.download.answer import Changed, Unranged
from cdn_engine.download.checkpoint import Checkpoint
from cdn_engine.download.disk_task import DiskTask
from cdn_engine.download.opening import Opened
from cdn_engine.download.partial import Partial
from cdn_engine.download.receipt import Receipt
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import Settings
from cdn_engine.download.state import State
from cdn_engine.download.verifier import Verifier
from cdn_engine.download.worker import Worker
from cdn_engine.errors import CDNError, DeadlineExceededError, IntegrityError, ObjectChangedError, explain
from cdn_engine.phases import FINISHING, Progress
from cdn_engine.result import TransferResult
from cdn_engine.wire.deadline import Deadline

__all__ = ["Transfer"]

_TICK = 0.05  # seconds between two looks of the calling thread
_HEARTBEAT = 0.5  # seconds after which progress is reported although nothing has moved
_JOURNAL_INTERVAL = 1.0  # seconds
_RESTARTS = 3  # an object that is replaced more often during one download is an error

# Seconds that the end of a failed download waits for the disk. What is not done by then goes on in a thread.
_GRACE = 1.5


class Transfer:
    """One download, from its first request to the installed file.

    Args:
        remote: The object.
        partial: The unfinished file, whose lock is held.
        pinned: The digest that the caller requires; None for the one in the object's metadata.
        deadline: When it has to be done.
        progress: Takes counts of bytes, whose sum is what is on disk, and the phase.
        settings: Sizes and limits.
        opened: The first request, if it has been made already.

    Thread-safety: for the calling thread.
    """

    def __init__(
        self,
        remote: RemoteObject,
        partial: Partial,
        pinned: str | None,
        deadline: Deadline,
        progress: Progress,
        settings: Settings,
        opened: Opened | None = None,
    ) -> None:
        self._remote = remote
        self._partial = partial
        self._progress = progress
        self._state = State(settings, pinned, deadline, opened)
        self._checkpoint = Checkpoint(remote, self._state, partial)
        self._workers: list[threading.Thread] = []
        self._verifier = Verifier(self._state, partial)
        self._task: DiskTask | None = None
        self._is_installing = False
        self._saved_at = time.monotonic()
        self._reported = 0
        self._reported_at = time.monotonic()

    def run(self) -> TransferResult:
        """Download, verify, install."""
        try:
            return self._run()
        finally:
            self._state.leave_budget()

    def _run(self) -> TransferResult:
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
        raise ObjectChangedError("the object was replaced again and again during the download: try again later")

    def finally_do(self, last: Callable[[], object]) -> None:
        """Call ``last`` when nothing of this download uses the disk any more: now, or later in a thread.

        ``last`` may be called twice, and so may this, as is necessary after Ctrl-C in the middle of it.
        """
        self._state.close_opened()
        task = self._task
        if task is None or not (task.done or task.is_alive()):
            last()
        else:
            task.finally_do(last)

    def _result(self) -> TransferResult:
        state, size = self._state, self._state.plan.size
        assert size is not None
        return self._remote.result(state.version, size, state.transferred, state.resumed_from)

    def _download(self) -> None:
        """Download all missing bytes, verify, install. What arrived before a failure is kept for the next call."""
        self._state.begin()
        self._workers, self._verifier = [], Verifier(self._state, self._partial)
        self._is_installing = False
        try:
            self._partial.create()
            self._supervise()
            self._join()
            self._verifier.verify(self._pause)
            self._is_installing = True
            self._wait_for(self._begin(self._install))
        except (Changed, Unranged) as error:
            self._state.stopping = True  # set before anything is called, where another Ctrl-C could come
            task = self._tidy_up(error)
            while not task.done:
                self._pause()
            raise
        except BaseException as error:
            self._state.stopping = True
            task, end = self._tidy_up(error), time.monotonic() + _GRACE
            while not task.done and time.monotonic() < end:
                self._state.wait_for_news(_TICK)
            self._report()
            raise

    def _supervise(self) -> None:
        """Look after threads, progress, deadline and journal until all bytes are on disk."""
        state = self._state
        while not state.over:
            self._start_threads()
            self._verifier.look()
            self._pause()
            now = time.monotonic()
            state.steer(now, self._remote.read_timeout)
            if self._task is None or self._task.done:
                if self._task is not None and self._task.error is not None:
                    raise self._task.error
                if now - self._saved_at >= _JOURNAL_INTERVAL and not state.over:
                    self._begin(self._save)
        self._report()
        if state.error is not None:
            raise state.error

    def _pause(self) -> None:
        """Wait a moment, and look after progress and deadline."""
        state = self._state
        state.wait_for_news(_TICK)
        self._report()
        if not state.deadline.allows():
            reason = "" if state.failure is None else f"last failure: {explain(state.failure)}; "
            raise DeadlineExceededError(f"the deadline passed; {reason}{state.kept}")

    def _report(self) -> None:
        now = time.monotonic()
        with self._state.lock:
            count, self._reported = self._state.plan.on_disk - self._reported, self._state.plan.on_disk
            phase = self._state.phase(now, self._verifier.hashed)
        if count or now - self._reported_at >= _HEARTBEAT:
            self._reported_at = now
            self._progress(count)
        if self._is_installing:
            phase = FINISHING, 0, phase[2]
        self._progress.phase(*phase)

    def _start_threads(self) -> None:
        state = self._state
        with state.lock:
            if state.error is not None:
                return
            self._workers = [worker for worker in self._workers if worker.is_alive()]
            count = state.tuner.target - len(self._workers) if state.plan.has_work else 0
        for _ in range(count):
            worker = Worker(self._remote, state, self._partial)
            self._workers.append(worker)
            if not threads.start_if_possible(worker):
                self._workers.remove(worker)
                if not self._workers:
                    raise OSError(errno.EAGAIN, "the system allows this process no further thread")
                state.refuse(len(self._workers))
                break

    def _join(self) -> None:
        threads.join([*self._workers, *self._verifier.threads])

    def _begin(self, work: Callable[[], object]) -> DiskTask:
        """Begin what may wait for the disk, after what was begun before."""
        before = self._task

        def in_turn() -> None:
            if before is not None:
                threads.join([before])
            work()

        self._task = task = DiskTask(in_turn, self._state.wake)
        if not threads.start_if_possible(task):
            task.run()
            if isinstance(task.error, KeyboardInterrupt):
                raise task.error
        return task

    def _wait_for(self, task: DiskTask) -> None:
        while not task.done:
            self._pause()
        if task.error is not None:
            raise task.error

    def _save(self) -> None:
        self._checkpoint.save()
        self._saved_at = time.monotonic()

    def _install(self) -> None:
        receipt = Receipt(self._remote, self._partial, self._state.version)
        self._partial.install(lambda: not self._state.stopping, receipt.date)
        receipt.keep()

    def _tidy_up(self, error: BaseException) -> DiskTask:
        """End all threads, and begin to leave on disk what a later call can use."""
        self._state.stop()

        def tidy_up() -> None:
            self._join()
            with contextlib.suppress(CDNError, OSError):  # the first failure is the one to report
                if self._partial.size() is None:  # it has its final name already
                    self._partial.journal.remove()
                elif isinstance(error, (Changed, IntegrityError, Unranged)):
                    self._checkpoint.discard()
                else:
                    self._checkpoint.keep()

        return self._begin(tidy_up)
