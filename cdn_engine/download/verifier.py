"""Compares the content of a partial with the object's digest or, without one, with its ETag if that is made of MD5s.

A digest is always compared. An ETag is only compared where that costs the download next to nothing: MD5 is slower than
SHA-256, and than a fast network.
"""

import hashlib
import threading
import time
from collections.abc import Callable

from cdn_engine import threads
from cdn_engine.download.hasher import Hasher
from cdn_engine.download.md5 import ETagHash, hashes_of
from cdn_engine.download.partial import Partial
from cdn_engine.download.state import State

__all__ = ["Verifier"]

_HASHED_AT_ONCE = 8 << 20  # bytes; for a smaller object, a thread to hash it costs more than it gains

# An ETag is compared while bytes arrive if these are slower than that: then MD5 takes a third of a core, at 0.5 to 0.6
# GB/s. Faster ones may need the core themselves.
_SLOW = 160e6  # bytes a second: more than 1 Gbit/s
_LOOK = 0.2  # seconds until that is known

# What is then left to be hashed, once all bytes are on disk, may take so many seconds, or so much of the time that the
# download took. Should it take several times as long, the machine is too slow or too busy for it.
_MD5_RATE = 500e6  # bytes a second
_SPARE = 0.2
_SHARE = 0.125
_TOLERANCE = 10


class Verifier:
    """Compares one complete download; hashes what arrives while it arrives.

    Args:
        state: The download's shared state.
        partial: The file.

    Thread-safety: for the calling thread.
    """

    def __init__(self, state: State, partial: Partial) -> None:
        self._state = state
        self._partial = partial
        self._began, self._before = time.monotonic(), state.transferred
        self._complete_at: float | None = None
        self._hasher: Hasher | None = None
        self._sha256 = hashlib.sha256()
        self._etag_hash: ETagHash | None = None  # what the hasher feeds where there is no digest
        self._has_given_up = False

    @property
    def threads(self) -> list[threading.Thread]:
        """What is to be joined when the download ends."""
        return [] if self._hasher is None else [self._hasher]

    @property
    def hashed(self) -> int:
        """Bytes that have been hashed so far."""
        return 0 if self._hasher is None else self._hasher.hashed

    def look(self) -> None:
        """Begin to hash as soon as that is worth it, and give up what would hold up the download."""
        state = self._state
        with state.lock:
            size, is_confirmed = state.plan.size, state.transferred > 0  # an answer has confirmed the object
            has_digest = state.version.sha256 is not None
        if size is None or size <= _HASHED_AT_ONCE or not is_confirmed or state.ending:
            return
        if self._hasher is None:
            if has_digest or (time.monotonic() - self._began > _LOOK and self._is_affordable()):
                self._start()
        elif self._etag_hash is not None and not self._is_affordable():
            self._give_up(self._hasher)

    def verify(self, pause: Callable[[], object]) -> None:
        """Compare the complete partial. The version learns by what it was verified.

        Args:
            pause: Called again and again; may raise.

        Raises:
            IntegrityError: The digest is another one.
            OSError: The partial cannot be read.
        """
        version = self._state.version
        if self._hasher is not None and self._etag_hash is not None and version.sha256 is not None:
            self._give_up(self._hasher)  # a later answer has told the digest
            threads.join(self.threads)
            self._hasher, self._has_given_up = None, False
        if version.sha256 is None and (self._has_given_up or not self._is_affordable()):
            return
        if self._hasher is None or self._hasher.error is not None:
            self._begin_again()
        while self._state.digest_pending:
            pause()
            self.look()
        if self._hasher is None or self._has_given_up:
            return
        if self._hasher.error is not None:
            raise self._hasher.error
        if version.sha256 is not None:
            version.verify(self._sha256.hexdigest())
        elif self._etag_hash is not None and self._etag_hash.matches():
            version.verified_by = "md5"

    def _is_affordable(self) -> bool:
        """Return True if the comparison of an ETag does not hold up the download."""
        state, now = self._state, time.monotonic()
        with state.lock:
            size, is_complete, received = state.plan.size, state.plan.complete, state.transferred - self._before
        if not is_complete:
            return received <= _SLOW * (now - self._began)
        assert size is not None
        if self._complete_at is None:
            self._complete_at = now
        spare = max(_SPARE, _SHARE * (self._complete_at - self._began))
        left = size if self._hasher is None else self._hasher.left
        return left <= _MD5_RATE * spare and now - self._complete_at <= _TOLERANCE * spare

    def _begin_again(self) -> None:
        """Hash all of it, in a thread if it is large."""
        size = self._state.plan.size
        assert size is not None
        if (size <= _HASHED_AT_ONCE or not self._start()) and (hasher := self._new_hasher()) is not None:
            self._hasher = hasher
            hasher.run()

    def _start(self) -> bool:
        """Start the thread that hashes. Return False if there is nothing to compare, or the system has none left."""
        hasher = self._new_hasher()
        if hasher is None:
            return False
        with self._state.lock:
            self._state.digest_pending, self._state.hasher = True, hasher
        self._hasher = hasher
        if threads.start_if_possible(hasher):
            return True
        self._hasher = self._state.hasher = None
        self._state.digest_pending = False
        return False

    def _new_hasher(self) -> Hasher | None:
        version, size = self._state.version, self._state.plan.size
        if version.sha256 is not None:
            self._sha256, self._etag_hash = hashlib.sha256(), None
            return Hasher(self._state, self._partial, self._sha256)
        assert size is not None
        found = hashes_of(version.etag, size)
        if not found:
            return None
        self._etag_hash = found[0]
        return Hasher(self._state, self._partial, found[0])

    def _give_up(self, hasher: Hasher) -> None:
        self._has_given_up = True
        with self._state.lock:
            self._state.hasher = None
        hasher.give_up()
