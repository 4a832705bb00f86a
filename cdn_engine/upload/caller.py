"""What the calling thread does during an upload in parts: it waits for the threads that upload, and reports.

It makes no request itself, so that Ctrl-C, an exception in the callback and the deadline end an upload at any time.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from cdn_engine import threads
from cdn_engine.errors import CDNError
from cdn_engine.upload.state import Over, State

__all__ = ["carry_out"]

_TICK = 0.05  # seconds between two looks at the clock

Answer = TypeVar("Answer")


def carry_out(state: State, work: Callable[[], Answer]) -> Answer:
    """Do ``work`` in a thread of its own, and report its progress in this one.

    Args:
        state: The upload's shared state. The work ends soon after it does.
        work: What to do. It has done everything that has to follow its end when it returns.

    Returns:
        What ``work`` returns.

    Raises:
        CDNError: The system has no thread for it.
        Over: The upload ended otherwise than by an exception of ``work``.
    """
    answers: list[Answer] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def lead() -> None:
        try:
            answers.append(work())
        except Over:
            pass
        except BaseException as error:
            failures.append(error)
            state.end(error)
        finally:
            done.set()
            with state.lock:
                state.notify()

    _watch(state, threading.Thread(target=lead, name="cdn-upload", daemon=True), done)
    if failures:
        raise failures.pop()
    if not answers:
        raise Over
    return answers.pop()


def _watch(state: State, leader: threading.Thread, done: threading.Event) -> None:
    """Start the thread, and wait for it, whatever comes."""
    try:
        _start(leader)
        while not done.is_set():
            state.wait_for_news(_TICK)
            state.keep_watch()
    except BaseException as error:
        state.interrupt(error)
        raise
    finally:
        try:
            while leader.is_alive() and not done.is_set():
                state.wait_for_news(_TICK)
                state.keep_watch()
        except BaseException as error:  # another Ctrl-C
            state.interrupt(error)
            raise
        finally:
            threads.join([leader])


def _start(leader: threading.Thread) -> None:
    try:
        threads.start(leader)
    except RuntimeError as error:
        raise CDNError(f"the system has no thread for this upload ({error}): end some, or raise the limit") from error
