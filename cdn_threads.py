"""Waits for an engine's threads, so that none outlives the call that started it."""

import threading
import time

__all__ = ["join"]

_UNDER_WAY = 1.0  # seconds for a thread that the system has started to call itself started


def join(threads):
    """Wait until the threads have ended, also one whose ``start()`` was cut short by Ctrl-C.

    For threads that end by themselves. Up to Python 3.12, a Ctrl-C during ``Thread.join`` counts a running thread as
    ended (cpython#90882), so that it is not the place to wait for one to finish its work.

    Args:
        threads: ``threading.Thread`` objects; those that were never started are passed over.
    """
    for thread in threads:
        patience = time.monotonic() + _UNDER_WAY
        while True:
            try:
                thread.join()
                break
            except RuntimeError:  # not started, or on its way there
                if thread not in threading.enumerate() or time.monotonic() > patience:
                    break
                time.sleep(0.001)
