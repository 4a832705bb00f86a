"""The body of one request: the payload or a part of it, signed as a whole and sent piece by piece.

Nothing is framed or trailed, and a slow connection can take each piece within its timeout.
"""

import base64
import hashlib
import math
import time
from collections.abc import Iterator

from cdn_engine.upload.source import Source
from cdn_engine.upload.state import Over, State

__all__ = ["Body", "FileBody"]

# A piece has to be taken whole within the connect timeout, 10 s: a slow connection gets smaller ones.
_SMALLEST_PIECE = 16 << 10
_FIRST_PIECE = 64 << 10  # an empty buffer of the system takes about as much at once
_LARGEST_PIECE = 256 << 10
_SLOW_PIECE = 0.1  # seconds; the tuner sees a slow connection move piece by piece

_BLOCK = 1 << 20  # bytes that are hashed at once


class Body:
    """The payload of a request, as the wire sees it.

    Args:
        view: The content; no copy is made.
        state: The upload's shared state.
        sha256: Its digest in hex if it is known.

    Attributes:
        sent: Bytes that the connection has taken.
        moved_at: When it last took some; infinity while it is told to wait.
    """

    def __init__(self, view: memoryview, state: State, sha256: str | None = None) -> None:
        self._view = view
        self._state = state
        self._sha256 = sha256
        self._size = len(view)
        self._piece = view[:0]
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
            digest = hashlib.sha256()
            for block in self._blocks():
                digest.update(block)
            self._sha256 = digest.hexdigest()
        return self._sha256

    def _blocks(self) -> Iterator[memoryview]:
        for start in range(0, self._size, _BLOCK):
            self._state.check()
            yield self._to_hash(start, min(start + _BLOCK, self._size))

    def md5(self) -> str:
        """Return the value of ``Content-MD5``. Some stores want it where Object Lock is on."""
        digest = hashlib.md5(usedforsecurity=False)
        for block in self._blocks():
            digest.update(block)
        return base64.b64encode(digest.digest()).decode()

    def pieces(self) -> Iterator[memoryview]:
        """Yield what the connection is to send."""
        size = _FIRST_PIECE
        while self.sent < self._size:
            amount = min(size, self._size - self.sent)
            # Before the next piece is cut: if this raises, the connection still holds the one that ``release`` frees.
            self.moved_at = math.inf
            self.moved_at = began = self._state.about_to_send(amount, self)
            self._piece = self._to_send(self.sent, self.sent + amount)
            yield self._piece
            with self._state.lock:  # one number without the other would show the tuner bytes that come back
                self.sent += amount
                self.moved_at = self._state.count_sent(amount, began)
            took = self.moved_at - began
            size = min(size * 2, _LARGEST_PIECE) if took < _SLOW_PIECE else max(size // 2, _SMALLEST_PIECE)

    def release(self) -> None:
        """Let go of the payload, which an exception that the caller keeps would hold otherwise."""
        self._piece.release()

    def _to_hash(self, start: int, stop: int) -> memoryview:
        return self._view[start:stop]

    def _to_send(self, start: int, stop: int) -> memoryview:
        return self._view[start:stop]


class FileBody(Body):
    """A file as the body: it is read while it is sent, so that it need not fit into memory.

    Its last piece is held back until the content is known to be the one that has been signed: what has changed since is
    never stored.

    Args:
        source: The file.
        sha256: Its digest.
        state: The upload's shared state.
    """

    def __init__(self, source: Source, sha256: str, state: State) -> None:
        super().__init__(memoryview(b""), state, sha256)
        self._source = source
        self._size = source.size
        self._buffer = source.buffer(_BLOCK)

    def _to_hash(self, start: int, stop: int) -> memoryview:
        return self._source.read(start, stop, self._buffer)

    def _to_send(self, start: int, stop: int) -> memoryview:
        try:
            if start == 0:
                self._source.begin(self._state.check)
            piece = self._source.part(start, stop, self._buffer)
            if stop == self._size:
                self._source.check_unchanged(self.sha256())
            return piece
        except Exception as error:  # not the connection's: it would be taken for a failure of the network
            self._state.end(error)
            raise Over from None
