"""Compares each answer with what is known about the object, and learns from the first."""

from typing import Any

from cdn_engine.download.answer import Answer, Changed, Unranged
from cdn_engine.download.connection import Connection
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.state import State
from cdn_engine.errors import NotAStoreError, StoreProtocolError
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.web_page import is_web_page

__all__ = ["Judge", "refuse_web_page"]


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
            NotAStoreError: It is a web page in the place of the object.
            StoreProtocolError: It contradicts the request or itself.
            OSError: There is no space for the object.
        """
        state, span = self._state, connection.span
        answer = Answer.of(response)
        if state.version.sha256 is None:  # a digest would tell the object from a page
            refuse_web_page(response, self._remote.key)
        total = self._size_elsewhere(connection, response) if answer.total is None else answer.total
        if state.plan.size is None:  # then this is the only connection
            self._learn(connection, answer, total)
        with state.lock:
            if total != state.plan.size:
                raise Changed("another size")
            state.version.compare(answer)
            if answer.last is None:
                self._take_all(connection)
            elif total is None or not answer.first <= span.pos <= answer.last < total:
                raise StoreProtocolError(
                    f"the store was asked for byte {span.pos} and sent bytes {answer.first} to {answer.last} "
                    f"of {'an unknown number' if total is None else total}"
                )
        connection.stop = None if answer.last is None else answer.last + 1
        state.answered(connection)
        return span.pos - answer.first

    def _size_elsewhere(self, connection: Connection, response: dict[str, Any]) -> int | None:
        """Ask for the object's size, which this response does not tell. None if only the end of the body will."""
        state = self._state

        def attempt() -> Attempt:
            connection.aside = aside = Attempt()
            if connection.cut_off is not None:  # just before this one could be cut
                aside.cut()
            return aside

        head = self._remote.head(state.deadline, state.wait, state.kept, attempt)
        if head.get("ETag") != response.get("ETag"):
            raise StoreProtocolError("the store's answers to GET and HEAD have different ETags")
        if "ContentLength" in head:
            return int(head["ContentLength"])
        encoding = response["ResponseMetadata"].get("HTTPHeaders", {}).get("transfer-encoding", "")
        if encoding.lower() != "chunked" and state.version.sha256 is None:
            raise StoreProtocolError("the store tells neither the object's size nor where its answer ends")
        return None

    def _learn(self, connection: Connection, answer: Answer, total: int | None) -> None:
        """Learn size, ETag and digest from the first answer, and plan the rest."""
        state, span = self._state, connection.span
        version = state.new_version()
        version.learn(answer)
        if total is None:
            with state.lock:
                state.version = version
            return
        if state.plan.ranged and not version.recognizable and total > span.stop:
            raise Unranged("no ETag and no digest")
        self._partial.reserve(total)
        with state.lock:
            state.version = version
            state.plan.set_size(total, span, version.recognizable)
            state.notify()

    def _take_all(self, connection: Connection) -> None:
        """Download everything over this connection: the store ignores ranges, or was asked for none."""
        state = self._state
        state.stay_at_one()
        if len(state.connections) > 1:
            raise StoreProtocolError("the store ignored the range that it was asked for")
        state.plan.take_all(connection.span)
        state.resumed_from = min(state.resumed_from, state.plan.on_disk)


def refuse_web_page(response: dict[str, Any], key: str) -> None:
    """Refuse what a console, a captive portal or a misdirected host answers, with status 200, to any request.

    Raises:
        NotAStoreError: The answer to a request for ``key`` is a web page.
    """
    if is_web_page(response, key):
        server = response["ResponseMetadata"].get("HTTPHeaders", {}).get("server") or "not named"
        raise NotAStoreError(
            f"the answer is a web page ({response['ContentType']}, server {server}), "
            "not the object: check that host is the store's S3 address, and that no login page is in between"
        )
