"""Finds a host's addresses, without holding up who waits for them."""

import contextlib
import socket
import threading
from concurrent.futures import Future
from typing import Any

from cdn_engine import threads
from cdn_engine.wire import attempt

__all__ = ["resolve"]


def resolve(host: str, port: int) -> list[Any]:
    """Return what ``socket.getaddrinfo`` returns.

    It may take half a minute where no name server answers, and neither Ctrl-C nor a pulse comes through meanwhile: it
    is asked in a thread if the running attempt pulses.

    Raises:
        socket.gaierror: The name has no address.
    """
    running = attempt.current()
    if running is None or running.pulse is None:
        return _ask(host, port)
    with contextlib.suppress(socket.gaierror):  # it is a name
        return _ask(host, port, socket.AI_NUMERICHOST)
    found: Future[list[Any]] = Future()
    threads.start(threading.Thread(target=_answer, args=(found, host, port), name="cdn-resolve", daemon=True))
    while True:
        try:
            return found.result(attempt.TICK)
        except TimeoutError:
            running.beat()


def _ask(host: str, port: int, flags: int = 0) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


def _answer(found: Future[list[Any]], host: str, port: int) -> None:
    try:
        found.set_result(_ask(host, port))
    except Exception as error:
        found.set_exception(error)
