"""Compares each answer with what is known about the object, and learns from the first."""

import time
from typing import Any

from cdn_engine.download.answer import Answer, Changed, Unranged
from cdn_engine.download.connection import Connection
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.state import State
from cdn_engine.errors import StoreProtocolError

__all__ = ["Judge"]


class Judge:
    """Decides what becomes of an answer's body.

    Thread-safety: safe.
    """

    def __init__(self, remote: RemoteObject, state: State, partial: Partial) -> None:
        self._remote = remote
        self._state = state
        self._partial = partial

    def accept(self, connection: Connection, response: dict[str, Any]) -> int:
        """Accept the answer to a connection's request. Return how many bytes of its body to skip.

        Raises:
            Changed: It is about another version of the object.
            Unranged: Ranges cannot be used on this object.
            IntegrityError: The object is not the one that the caller requires.
            StoreProtocolError: It contradicts the request or itself.
            OSError: There is no space for the object.
        """
        state, span = self._state, connection.span
        answer = Answer.of(response, self._remote.name)
        total = self._size_elsewhere(response) if answer.total is None else answer.total
        if state.plan.size is None:  # then this is the only connection
            self._learn(connection, answer, total)
        with state.lock:
            if total != state.plan.size:
                raise Changed("another size")
            state.version.compare(answer)
            if answer.last is None:
                self._take_all(connection)
            elif not answer.first <= span.pos <= answer.last < total:
                raise StoreProtocolError(
                    f"the store was asked for byte {span.pos} of {self._remote.name} and sent bytes "
                    f"{answer.first} to {answer.last} of {total}"
                )
            connection.watch(time.monotonic())
            connection.delivering = True
        return span.pos - answer.first

    def _size_elsewhere(self, response: dict[str, Any]) -> int:
        """Ask for the object's size, which this response does not tell."""
        state = self._state
        head = self._remote.head(state.deadline, state.wait, state.kept)
        if head.get("ETag") != response.get("ETag") or "ContentLength" not in head:
            raise StoreProtocolError(f"the store does not tell the size of {self._remote.name}")
        return int(head["ContentLength"])

    def _learn(self, connection: Connection, answer: Answer, total: int) -> None:
        """Learn size, ETag and digest from the first answer, and plan the rest."""
        state, span = self._state, connection.span
        version = state.new_version()
        version.learn(answer)
        if state.plan.ranged and not version.recognizable and total > span.stop:
            raise Unranged("no ETag and no digest")
        self._partial.reserve(total)
        with state.lock:
            state.version = version
            state.plan.set_size(total, span)
            state.notify()

    def _take_all(self, connection: Connection) -> None:
        """Download everything over this connection: the store ignores ranges, or was asked for none."""
        state = self._state
        state.tuner.stay_at_one()
        if len(state.connections) > 1:
            raise StoreProtocolError(f"the store ignored the range of {self._remote.name}")
        state.plan.take_all(connection.span)
        state.resumed_from = min(state.resumed_from, state.plan.on_disk)
