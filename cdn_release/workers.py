"""Works on many files at a time, in threads, and tells the caller about it in its own."""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol, TypeVar

from cdn_engine import threads
from cdn_engine.phases import RETRYING
from cdn_manager import StoreProtocolError

__all__ = ["Report", "Transferring", "require_jobs", "work_on"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_TICK = 0.25  # seconds between two reports where nothing moves


class Report(Protocol):
    """What a thread calls, again and again, while it works on a file. It raises if that is to end."""

    def __call__(self, count: int, is_there: bool = False, is_stuck: bool = False) -> None:
        """Report bytes.

        Args:
            count: How many, since the last call.
            is_there: They were there already, and need not be moved.
            is_stuck: Nothing moves, because a request has failed.
        """
        ...


class Transferring:
    """The progress callback of one transfer, in a thread.

    Args:
        report: Is told.
        kept: Bytes that an earlier run has left, with which the engine begins its count.
        most: Bytes after which the transfer is ended.
    """

    def __init__(self, report: Report, kept: int, most: float = math.inf) -> None:
        self._report = report
        self._kept = kept
        self._left = most
        self._is_stuck = False

    def __call__(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise StoreProtocolError("the store sends more than the object should have")
        self._report(count, count == self._kept > 0, self._is_stuck)
        self._kept = 0

    def phase(self, name: str, read: int, size: int | None) -> None:
        self._is_stuck = name == RETRYING
        self._report(0, False, self._is_stuck)


class _Stopped(Exception):
    """Ends the work on a file, because the caller or another file has failed."""


class _News(NamedTuple):
    """What a thread has reported, or why it has ended."""

    number: int
    moved: int = 0
    is_there: bool = False
    is_stuck: bool = False
    has_ended: bool = False
    failure: BaseException | None = None


def require_jobs(jobs: int) -> None:
    """Raise ``ValueError`` if so many threads cannot do anything."""
    if jobs < 1:
        raise ValueError("jobs must be at least 1")


def work_on(
    items: Sequence[Item],
    work: Callable[[Item, Report], Result],
    jobs: int,
    tell: Callable[[int, bool, bool], object],
) -> list[Result]:
    """Call ``work`` for each item, in threads, and return the results in the order of the items.

    The first failure ends the rest, and is raised when no thread is left.

    Args:
        items: The items, in the order in which they are begun.
        work: Takes an item and a ``Report``.
        jobs: How many threads there may be.
        tell: Called in the calling thread with what was reported, and with 0 if nothing was for a while; its third
            argument is True if all threads are stuck. An exception in it, or Ctrl-C, ends everything.
    """
    waiting = deque(enumerate(items))
    results: dict[int, Result] = {}
    news: SimpleQueue[_News] = SimpleQueue()
    stop = threading.Event()

    def run(number: int) -> None:
        report = _report_of(number, news, stop)
        failure = None
        try:
            while (task := _next(waiting)) is not None and not stop.is_set():
                results[task[0]] = work(task[1], report)
                report(0)
        except BaseException as error:
            failure = error
        news.put(_News(number, has_ended=True, failure=failure))

    count = min(jobs, len(items))
    workers = [threading.Thread(target=run, args=[n], name="cdn-release", daemon=True) for n in range(count)]
    try:
        failure = _follow(_start(workers), news, stop, tell)
    finally:
        stop.set()
        threads.join(workers)
    if failure is not None:
        raise failure
    return [results[index] for index in range(len(items))]


def _report_of(number: int, news: "SimpleQueue[_News]", stop: threading.Event) -> Report:
    was_stuck = False

    def report(count: int, is_there: bool = False, is_stuck: bool = False) -> None:
        nonlocal was_stuck
        if stop.is_set():
            raise _Stopped
        if count or is_stuck != was_stuck:
            was_stuck = is_stuck
            news.put(_News(number, count, is_there, is_stuck))

    return report


def _start(workers: Sequence[threading.Thread]) -> int:
    """Start threads, and return how many there are: at least one, if the system allows no more."""
    for number, worker in enumerate(workers):
        if not number:
            threads.start(worker)
        elif not threads.start_if_possible(worker):
            return number
    return len(workers)


def _follow(
    count: int, news: "SimpleQueue[_News]", stop: threading.Event, tell: Callable[[int, bool, bool], object]
) -> BaseException | None:
    """Pass on what threads report until all have ended. Return the first failure; None without one."""
    running, stuck, first = set(range(count)), set[int](), None
    while running:
        try:
            new = news.get(timeout=_TICK)
        except Empty:
            tell(0, False, stuck == running)
            continue
        stuck.discard(new.number)
        if new.has_ended:
            running.discard(new.number)
            if new.failure is not None:
                first = first or new.failure  # those that follow were told to end
                stop.set()
            continue
        if new.is_stuck:
            stuck.add(new.number)
        tell(new.moved, new.is_there, stuck == running)
    return first


def _next(waiting: "deque[tuple[int, Item]]") -> tuple[int, Item] | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None
