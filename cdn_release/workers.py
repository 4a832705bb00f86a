"""Works on many files at a time, in threads, and tells the caller about it in its own."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from cdn_engine import threads

__all__ = ["Report", "work_on"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_TICK = 0.25  # seconds between two reports where nothing moves


class Report(Protocol):
    """What a thread calls, again and again, while it works on a file. It raises if that is to end."""

    def __call__(self, count: int, is_there: bool = False) -> None:
        """Report bytes.

        Args:
            count: How many, since the last call.
            is_there: They were there already, and need not be moved.
        """
        ...


class _Stopped(Exception):
    """Ends the work on a file, because the caller or another file has failed."""


def work_on(
    items: Sequence[Item],
    work: Callable[[Item, Report], Result],
    jobs: int,
    tell: Callable[[int, bool], object],
) -> list[Result]:
    """Call ``work`` for each item, in threads, and return the results in the order of the items.

    The first failure ends the rest, and is raised when no thread is left.

    Args:
        items: The items, in the order in which they are begun.
        work: Takes an item and a ``Report``.
        jobs: How many threads there may be.
        tell: Called in the calling thread with what was reported, and with 0 if nothing was for a while. An exception
            in it, or Ctrl-C, ends everything.
    """
    waiting = deque(enumerate(items))
    results: dict[int, Result] = {}
    news: SimpleQueue[tuple[int, bool] | BaseException | None] = SimpleQueue()
    stop = threading.Event()

    def report(count: int, is_there: bool = False) -> None:
        if stop.is_set():
            raise _Stopped
        if count:
            news.put((count, is_there))

    def run() -> None:
        try:
            while (task := _next(waiting)) is not None and not stop.is_set():
                index, item = task
                results[index] = work(item, report)
        except BaseException as error:
            news.put(error)
        finally:
            news.put(None)

    workers = [threading.Thread(target=run, name="cdn-release", daemon=True) for _ in range(min(jobs, len(items)))]
    failure: BaseException | None = None
    try:
        running = 0
        for worker in workers:
            if running and not threads.start_if_possible(worker):
                break  # the system allows no further thread: those that run do all
            if not running:
                threads.start(worker)
            running += 1
        while running:
            try:
                new = news.get(timeout=_TICK)
            except Empty:
                new = 0, False
            if new is None:
                running -= 1
            elif isinstance(new, BaseException):
                failure = failure or new  # the first one: those that follow were told to end
                stop.set()
            else:
                tell(*new)
    finally:
        stop.set()
        threads.join(workers)
    if failure is not None:
        raise failure
    return [results[index] for index in range(len(items))]


def _next(waiting: "deque[tuple[int, Item]]") -> tuple[int, Item] | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None
