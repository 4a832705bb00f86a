"""A thread that does what may wait for a slow disk, so that the calling thread need not."""

import threading
from collections.abc import Callable

from cdn_engine import threads

__all__ = ["DiskTask"]


class DiskTask(threading.Thread):
    """Runs one function that waits for the disk.

    Args:
        work: The function.
        ended: Called in the thread when the function has ended.

    Attributes:
        error: What the function raised; None for nothing.
        done: True once the function has ended.
    """

    def __init__(self, work: Callable[[], object], ended: Callable[[], object]) -> None:
        super().__init__(name="cdn-download-disk", daemon=True)
        self._work = work
        self._ended = ended
        self._last: Callable[[], object] | None = None
        self.error: BaseException | None = None
        self.done = False

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
        self.done = True
        self._ended()
        if self._last is not None:
            self._last()

    def finally_do(self, last: Callable[[], object]) -> None:
        """Call ``last`` as soon as the function has ended: now, or later in the thread. May be called again.

        Args:
            last: It may be called twice, one call after the other.
        """
        self._last = last
        if self.done:  # read after ``_last`` is set, as the thread sets it before it reads ``_last``
            threads.join([self])
            last()
