"""Tests the pool of threads that asks for many objects at a time."""

import threading

import pytest

from cdn_engine.pool import for_each

pytestmark = pytest.mark.portable


def test_results_come_in_the_order_of_the_items_whichever_is_done_first():
    first_may_end = threading.Event()

    def call(item):
        if item == 0:
            assert first_may_end.wait(60)
        elif item == 1:
            first_may_end.set()
        return item * 2

    assert [(item, future.result()) for item, future in for_each(call, range(50), 2)] == [
        (item, item * 2) for item in range(50)
    ]


def test_exception_of_a_call_is_its_own_and_no_others():
    def call(item):
        return 1 / item

    outcomes = {item: future.exception() for item, future in for_each(call, [1, 0, 2], 4)}
    assert (outcomes[1], type(outcomes[0]), outcomes[2]) == (None, ZeroDivisionError, None)


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for item in range(10_000):
            taken.append(item)
            yield item

    results = for_each(str, items(), 2)
    next(results)
    assert len(taken) < 100


def test_what_is_left_is_not_called_when_the_caller_leaves():
    may_end, others_wait, called, threads = threading.Event(), threading.Event(), [], set()

    def items():
        yield from range(5)
        others_wait.set()
        yield 5

    def call(item):
        threads.add(threading.current_thread())
        called.append(item)
        assert (may_end if item else others_wait).wait(60)

    results = for_each(call, items(), 1)
    next(results)
    results.close()
    may_end.set()
    (thread,) = threads
    assert thread.daemon
    thread.join()
    assert called in ([0], [0, 1])
