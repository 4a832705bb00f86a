"""Starts and joins threads, so that none outlives the call that started it, whenever Ctrl-C comes."""

import threading
import time
from collections.abc import Iterable

__all__ = ["join", "start"]

_STARTING = 1.0  # seconds that the system may take until a new thread counts as started


def start(worker: threading.Thread) -> None:
    """Start a thread. Ctrl-C while it starts is a KeyboardInterrupt, which ``Thread.start`` may replace by another."""
    try:
        worker.start()
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


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
                break
            except RuntimeError:  # not started, or just being started
                if worker not in threading.enumerate():
                    break
                if time.monotonic() > patience:
                    # Ctrl-C came before the system was asked for a thread. Only a start, after which it ends by itself,
                    # takes it off the list of threads.
                    worker.start()
                time.sleep(0.001)
