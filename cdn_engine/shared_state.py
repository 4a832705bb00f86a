"""What the threads of one transfer share: one lock, and ways to wait for each other."""

import contextlib
import queue
import threading
from collections.abc import Callable

__all__ = ["SharedState"]


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
