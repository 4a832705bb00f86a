"""Working on many files at a time: order, failures, and who is told in which thread."""

import threading

import pytest

from cdn_release.workers import work_on


def nothing(*_):
    pass


def test_results_are_in_the_order_of_the_items():
    barrier = threading.Barrier(3)

    def work(item, _):
        if item < 3:
            barrier.wait()
        return item * 2

    assert work_on(range(10), work, 3, nothing) == [item * 2 for item in range(10)]
    assert work_on([], work, 3, nothing) == []


def test_caller_is_told_in_its_own_thread():
    told = []

    def work(item, report):
        report(item)
        report(item, True)

    work_on([1, 2], work, 2, lambda *news: told.append((*news[:2], threading.current_thread())))
    me = threading.current_thread()
    assert sorted(one[:2] for one in told if one[0]) == [(1, False), (1, True), (2, False), (2, True)]
    assert {thread for *_, thread in told} == {me}


def test_first_failure_ends_the_rest_and_is_raised():
    begun, ended = threading.Event(), []

    def work(item, report):
        if item == 0:
            begun.wait()
            raise OSError("this one")
        begun.set()
        try:
            while True:
                report(0)
        finally:
            ended.append(item)

    with pytest.raises(OSError, match="this one"):
        work_on(range(100), work, 2, nothing)
    assert ended == [1]


def test_failure_of_the_caller_ends_the_work():
    ended = []

    def work(item, report):
        try:
            while True:
                report(1)
        finally:
            ended.append(item)

    def tell(count, *_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_on(range(100), work, 2, tell)
    assert set(ended) <= {0, 1}
    assert not [thread for thread in threading.enumerate() if thread.name == "cdn-release"]


def test_caller_is_asked_while_nothing_moves():
    asked = threading.Event()

    def tell(count, *_):
        assert count == 0
        asked.set()

    work_on([1], lambda *_: asked.wait(), 1, tell)
    assert asked.is_set()


def test_one_thread_is_enough(monkeypatch):
    monkeypatch.setattr("cdn_engine.threads.start_if_possible", lambda _: False)
    assert work_on(range(3), lambda item, _: item, 3, nothing) == [0, 1, 2]


def test_end_of_an_iterator_in_the_work_is_a_failure():
    def work(item, _):
        return next(iter(()))

    with pytest.raises(StopIteration):
        work_on([1], work, 1, nothing)


def test_all_are_stuck_only_if_each_is():
    told, one_was_told, all_were_told = [], threading.Event(), threading.Event()

    def work(item, report):
        if item == 2:
            one_was_told.wait()
        report(0, False, True)
        all_were_told.wait()

    def tell(count, is_there, are_stuck):
        told.append(are_stuck)
        (all_were_told if are_stuck else one_was_told).set()

    work_on([1, 2], work, 2, tell)
    assert not told[0]
    assert any(told)


def test_thread_that_moves_again_is_not_stuck():
    told = []

    def work(item, report):
        report(0, False, True)
        report(5)

    work_on([1], work, 1, lambda count, _, are_stuck: told.append((count, are_stuck)))
    assert told[:2] == [(0, True), (5, False)]
