"""Threads that end with the call that started them, whenever Ctrl-C comes, and what such threads share."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable

__all__ = ["SharedState", "join", "start"]

_STARTING = 1.0  # seconds that the system may take until a new thread counts as started


class SharedState:
    """Base of what the threads of one transfer share.

    Attributes:
        lock: Guards the attributes of the subclass. Taken itself and not through a condition: Ctrl-C in
            ``Condition.__enter__``, which is Python code, would leave it locked.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        # The calling thread waits for this and not for the condition: Ctrl-C in ``Condition.wait`` may find the lock
        # released and not yet taken again.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()

    def notify(self) -> None:
        """Wake the threads that wait. The lock must be held."""
        self._changed.notify_all()
        self._news.put(None)

    def wait_for(self, predicate: Callable[[], bool], seconds: float) -> bool:
        """Wait in a worker's thread until ``predicate`` holds, for ``seconds`` at most. Return whether it does."""
        with self.lock:
            return self._changed.wait_for(predicate, seconds)

    def wait_for_news(self, seconds: float) -> None:
        """Wait in the calling thread until something happens, for ``seconds`` at most."""
        with contextlib.suppress(queue.Empty):
            self._news.get(timeout=seconds)


def start(worker: threading.Thread) -> None:
    """Start a thread. Ctrl-C while it starts is a KeyboardInterrupt, which ``Thread.start`` may replace by another."""
    try:
        worker.start()
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def join(workers: Iterable[threading.Thread]) -> None:
    """Wait for threads that end by themselves, also for one whose ``start()`` was cut short by Ctrl-C.

    Up to Python 3.12, Ctrl-C during ``Thread.join`` marks a running thread as ended (cpython#90882): do not use this
    to wait for work to be done.

    Args:
        workers: The threads; one that was never started is skipped.

    Thread-safety: safe.
    """
    for worker in workers:
        patience = time.monotonic() + _STARTING
        while True:
            try:
                worker.join()
                break
            except RuntimeError:  # not started, or just being started
                if worker not in threading.enumerate():
                    break
                if time.monotonic() > patience:
                    # Ctrl-C came before the system was asked for a thread. Only a start, after which it ends by itself,
                    # takes it off the list of threads.
                    worker.start()
                time.sleep(0.001)
