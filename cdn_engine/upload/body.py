"""The body of one request: views of the payload, signed as a whole and sent piece by piece.

No copy is made, nothing is framed or trailed, and a slow connection can take each piece within its timeout.
"""

import os
from collections.abc import Iterator
from typing import Any

from cdn_engine.upload.state import State

__all__ = ["Body", "send_in_pieces"]

# A piece has to be taken whole within the connect timeout, 10 s: a slow connection gets smaller ones.
_SMALLEST_PIECE = 16 << 10
_LARGEST_PIECE = 256 << 10
_SLOW_PIECE = 2.0  # seconds


class Body:
    """A file-like body: botocore reads it to sign the request, the connection sends it in pieces.

    Attributes:
        sent: Bytes that the connection has taken.
    """

    def __init__(self, view: memoryview, state: State) -> None:
        self._view = view
        self._state = state
        self._piece = view[:0]
        self._position = 0
        self.sent = 0

    def __len__(self) -> int:
        return len(self._view)

    def read(self, amount: int | None = -1) -> memoryview:
        stop = len(self._view) if amount is None or amount < 0 else self._position + amount
        block = self._view[self._position:stop]
        self._position += len(block)
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (0, self._position, len(self._view))[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def pieces(self) -> Iterator[memoryview]:
        """Yield what the connection is to send."""
        size = _SMALLEST_PIECE
        while self.sent < len(self._view):
            amount = min(size, len(self._view) - self.sent)
            # Before the next piece is cut: if this raises, the connection still holds the one that ``release`` frees.
            began = self._state.about_to_send(amount, self)
            self._piece = self._view[self.sent:self.sent + amount]
            yield self._piece
            self.sent += amount
            took = self._state.count_sent(amount) - began
            size = min(size * 2, _LARGEST_PIECE) if took < _SLOW_PIECE else max(size // 2, _SMALLEST_PIECE)

    def release(self) -> None:
        """Let go of the payload, which an exception that the caller keeps would hold otherwise."""
        self._piece.release()


def send_in_pieces(request: Any, **_: Any) -> None:
    """Give the connection a signed request's body piece by piece. A handler of ``before-send.s3``."""
    if isinstance(request.body, Body):
        request.body = request.body.pieces()
