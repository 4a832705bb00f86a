"""Starts and joins threads, so that none outlives the call that started it, whenever Ctrl-C comes."""

import collections
import os
import threading
import time
from collections.abc import Iterable

__all__ = ["join", "start", "start_if_possible"]

_STARTING = 1.0  # seconds that the system may take until a new thread counts as started
_ENDING = 1.0  # seconds that a fork waits for the system to end threads that have been joined

_joined: collections.deque[int] = collections.deque(maxlen=256)  # the system's numbers of threads


def start(worker: threading.Thread) -> None:
    """Start a thread. Ctrl-C while it starts is a KeyboardInterrupt, which ``Thread.start`` may replace by another."""
    try:
        worker.start()
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def start_if_possible(worker: threading.Thread) -> bool:
    """Start a thread. Return False if the system allows no further one."""
    try:
        start(worker)
    except RuntimeError:
        return False
    return True


def join(workers: Iterable[threading.Thread]) -> None:
    """Wait for threads that end by themselves, also for one whose ``start()`` was cut short by Ctrl-C.

    Up to Python 3.12, Ctrl-C during ``Thread.join`` marks a running thread as ended (cpython#90882): do not use this
    to wait for work to be done.

    Args:
        workers: The threads; one that was never started is skipped.

    Thread-safety: safe.
    """
    for worker in workers:
        patience = time.monotonic() + _STARTING
        while True:
            try:
                worker.join()
                _joined.append(worker.native_id or 0)
                break
            except RuntimeError:  # not started, or just being started
                if worker not in threading.enumerate():
                    break
                if time.monotonic() > patience:
                    # Ctrl-C came before the system was asked for a thread. Only a start, after which it ends by itself,
                    # takes it off the list of threads.
                    worker.start()
                time.sleep(0.001)


def _let_them_end() -> None:
    """Wait until the system has ended joined threads.

    After its work, a thread that has used TLS frees what OpenSSL keeps for it, under OpenSSL's locks. A child forked in
    that moment would find them locked for good.
    """
    end = time.monotonic() + _ENDING
    joined = list(_joined)
    _joined.clear()
    for number in joined:
        task = f"/proc/self/task/{number}"
        while os.path.exists(task) and time.monotonic() < end:
            time.sleep(0.001)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_let_them_end)
