"""Calls a function for many things at a time, in threads, and gives the results in the order of the things."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TypeVar

__all__ = ["for_each"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 8  # calls for each thread that are under way or wait for an earlier one: of a long listing, only so many
_TICK = 0.5  # seconds; on Windows, no signal ends a longer wait


def for_each(
    call: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[tuple[Item, "Future[Result]"]]:
    """Yield each item with the future of its call, which is done.

    The threads are daemons: a command that ends early does not wait for those that wait for a dead connection.

    Args:
        call: Is called with an item, in one of the threads.
        items: Any number of items; they are taken as they are needed.
        jobs: How many threads there may be.
    """
    tasks: SimpleQueue[tuple[Item, Future[Result]] | None] = SimpleQueue()
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    threads = 0

    def work() -> None:
        while (task := tasks.get()) is not None:
            item, future = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(item))
                except BaseException as error:
                    future.set_exception(error)

    try:
        for item in items:
            waiting.append((item, Future()))
            tasks.put(waiting[-1])
            if threads < jobs:
                threads += 1
                threading.Thread(target=work, name="cdn-manager", daemon=True).start()
            while waiting and (waiting[0][1].done() or len(waiting) >= jobs * _AHEAD):
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        for _, future in waiting:
            future.cancel()
        for _ in range(threads):
            tasks.put(None)


def _next(waiting: "deque[tuple[Item, Future[Result]]]") -> "tuple[Item, Future[Result]]":
    while not waiting[0][1].done():
        wait([waiting[0][1]], _TICK)
    return waiting.popleft()
