"""Finds a host's addresses, without holding up who waits for them."""

import contextlib
import socket
import threading
from concurrent.futures import Future
from typing import Any

from cdn_engine import threads
from cdn_engine.wire.attempt import TICK, Attempt

__all__ = ["resolve"]


def resolve(host: str, port: int, running: Attempt | None) -> list[Any]:
    """Return what ``socket.getaddrinfo`` returns.

    It may take half a minute where no name server answers, and neither Ctrl-C nor a pulse comes through meanwhile: it
    is asked in a thread if the attempt pulses, which ends by itself when the system gives up.

    Raises:
        socket.gaierror: The name has no address.
    """
    if running is None or running.pulse is None:
        return _ask(host, port)
    with contextlib.suppress(socket.gaierror):  # it is a name
        return _ask(host, port, socket.AI_NUMERICHOST)
    found: Future[list[Any]] = Future()
    threads.start(threading.Thread(target=_answer, args=(found, host, port), name="cdn-resolve", daemon=True))
    while True:
        try:
            return found.result(TICK)
        except TimeoutError:
            running.beat()


def _ask(host: str, port: int, flags: int = 0) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


def _answer(found: Future[list[Any]], host: str, port: int) -> None:
    try:
        found.set_result(_ask(host, port))
    except Exception as error:
        found.set_exception(error)
