"""Hashes a partial while it is being downloaded, as far as it is on disk without a gap."""

import hashlib
import threading

from cdn_engine.download.partial import Partial
from cdn_engine.download.settings import BLOCK
from cdn_engine.download.state import State
from cdn_engine.errors import lacks_descriptors

__all__ = ["Hasher"]

_TICK = 0.05  # seconds between two looks at the plan


class Hasher(threading.Thread):
    """A thread that computes the SHA-256 of the partial; ``run`` also works in the calling thread.

    Attributes:
        digest: The hash of what has been read so far.
        error: Why it ended early; None if it did not. It can be repeated later if it only lacked a descriptor.
    """

    def __init__(self, state: State, partial: Partial) -> None:
        super().__init__(name="cdn-download-sha256", daemon=True)
        self._state = state
        self._partial = partial
        self.digest = hashlib.sha256()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with self._partial.open() as file:
                while block := file.read(self._next(file.tell())):
                    self.digest.update(block)
        except Exception as error:
            self.error = error
            if not lacks_descriptors(error):
                self._state.fail(error)
        with self._state.lock:
            self._state.digest_pending = False
            self._state.notify()

    def _next(self, done: int) -> int:
        """Wait until bytes after ``done`` are on disk; return how many to hash next, 0 at the end."""
        state = self._state
        with state.lock:
            while not state.ending and done != state.plan.size:
                available = state.plan.available(done)
                if available > 0:
                    return min(available, BLOCK)
                state.wait_for(lambda: state.ending or state.plan.available(done) > 0, _TICK)
            return 0
