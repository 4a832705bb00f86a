"""The body of one request: the payload or a part of it, signed as a whole and sent piece by piece.

Nothing is framed or trailed, and a slow connection can take each piece within its timeout.
"""

import base64
import hashlib
import math
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from cdn_engine.upload.source import Source, changed
from cdn_engine.upload.state import Over, State
from cdn_engine.wire.session import MOST_UNSENT

__all__ = ["Body"]

# A piece has to be taken whole within the connect timeout, 10 s: a slow connection gets smaller ones.
_SMALLEST_PIECE = 16 << 10
_FIRST_PIECE = 64 << 10  # until the system's buffer is full, which takes about as much at once
_LARGEST_PIECE = 256 << 10
_SLOW_PIECE = 0.025  # seconds; the tuner sees a slow connection move piece by piece


class Body:
    """The payload of a request, as the wire sees it: the upload's payload or a part of it, read while it is sent.

    The last piece of what is not surely what has been hashed is held back until it has been hashed again: what has
    changed since is never stored.

    Args:
        source: The upload's payload.
        start: Where the request's payload begins there.
        stop: Where it ends.
        state: The upload's shared state.
        sha256: Its digest in hex if it is known.

    Attributes:
        sent: Bytes that the connection has taken.
        moved_at: When it last took some; infinity while it is told to wait.
    """

    def __init__(self, source: Source, start: int, stop: int, state: State, sha256: str | None = None) -> None:
        self._source = source
        self._start = start
        self._size = stop - start
        self._state = state
        self._sha256 = sha256
        self._buffer = source.buffer(min(self._size, _LARGEST_PIECE))
        self._piece = memoryview(b"")
        self.sent = 0
        self.moved_at = time.monotonic()

    def __len__(self) -> int:
        return self._size

    def sha256(self) -> str:
        """Return the digest in hex, for the signature.

        Raises:
            Over: The upload has ended.
        """
        if self._sha256 is None:
            self._sha256 = self._hash(hashlib.sha256()).hexdigest()
        return self._sha256

    def md5(self) -> str:
        """Return the value of ``Content-MD5``. Some stores want it where Object Lock is on."""
        return base64.b64encode(self._hash(hashlib.md5(usedforsecurity=False)).digest()).decode()

    def _hash(self, digest: Any) -> Any:
        for start in range(0, self._size, _LARGEST_PIECE):
            self._state.check()
            with self._read(start, min(start + _LARGEST_PIECE, self._size)) as block:
                digest.update(block)
        return digest

    def pieces(self) -> Iterator[memoryview]:
        """Yield what the connection is to send."""
        size = _FIRST_PIECE
        digest = None if self._source.is_sure else hashlib.sha256()
        while self.sent < self._size:
            amount = min(size, self._size - self.sent, self._state.pace.piece)
            # Before the next piece is cut: if this raises, the connection still holds the one that ``release`` frees.
            self.moved_at = math.inf
            self._state.about_to_send(amount, self)
            self._piece = self._read(self.sent, self.sent + amount)
            if digest is not None:
                digest.update(self._piece)
                if self.sent + amount == self._size and digest.hexdigest() != self._sha256:
                    self._fail(changed())
            self.moved_at = began = time.monotonic()
            yield self._piece
            with self._state.lock:  # one number without the other would show the tuner bytes that come back
                self.sent += amount
                self.moved_at = self._state.count_sent(amount, began)
            took = self.moved_at - began
            if took >= _SLOW_PIECE:
                size = max(size // 2, _SMALLEST_PIECE)
            elif self.sent > MOST_UNSENT:
                size = min(size * 2, _LARGEST_PIECE)
            elif self.sent == MOST_UNSENT:  # from here on, how long a piece takes tells how fast the connection is
                size = _SMALLEST_PIECE

    def rewind(self) -> None:
        """Get ready to be sent once more from the beginning, and take back what has been counted."""
        self.release()
        self._state.take_back(self.sent)
        self.sent, self.moved_at = 0, math.inf

    def release(self) -> None:
        """Let go of the payload, which an exception that the caller keeps would hold otherwise."""
        self._piece.release()

    def _read(self, start: int, stop: int) -> memoryview:
        try:
            return self._source.read(self._start + start, self._start + stop, self._buffer)
        except Over:
            raise
        except Exception as error:  # not the connection's: it would be taken for a failure of the network
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        self._state.end(error)
        raise Over from None
