"""How the connections of an upload are opened, whose parts under way are lost if its process dies."""

import statistics

import pytest
from drive import MB, STEP, Drive, each, shared

from cdn_engine.tuner import Tuner

pytestmark = pytest.mark.portable

PART = 5 << 20
FAST = 200 * MB


def gentle(**options):
    return Drive(Tuner(16, 0.0, part=PART), **options)


@pytest.mark.parametrize("rate", [0.5 * MB, 1 * MB, 8 * MB])
@pytest.mark.parametrize("latency", [0.005, 0.05, 0.2])
def test_link_that_limits_each_connection_soon_gets_all_of_them(rate, latency):
    assert gentle(latency=latency).until(each(rate), 16) < 3.0


@pytest.mark.parametrize("rate", [1 * MB, 8 * MB, 40 * MB])
@pytest.mark.parametrize("latency", [0.005, 0.05, 0.2])
def test_link_that_one_connection_fills_has_more_for_a_second_only(rate, latency):
    targets = gentle(latency=latency).run(shared(rate), 60.0)
    assert max(targets) == 4
    assert sum(target > 1 for target in targets[: round(3.0 / STEP)]) * STEP < 0.6 + 5 * latency
    assert max(targets[round(3.0 / STEP) :]) == 2
    assert statistics.fmean(targets) < 1.5


def test_few_connections_are_opened_at_once_where_the_first_bytes_fly():
    drive = gentle()
    drive.until(shared(FAST), 4, limit=2 * STEP)
    assert set(drive.run(shared(FAST), 3.0)) <= {4, 16}


def test_late_look_does_not_hide_that_bytes_fly(monkeypatch):
    monkeypatch.setattr("drive.STEP", 0.5)
    assert gentle(size=FAST).run(shared(FAST), 1.0) == [4, 4]


def test_bytes_that_flew_into_a_buffer_only_leave_one_connection():
    drive = gentle()
    drive.carried = 5 * MB
    drive.until(shared(MB), 4, limit=2 * STEP)
    assert drive.until(shared(MB), 1) < 1.0


def test_first_part_is_finished_before_others_are_begun_if_that_takes_less_than_a_second():
    drive = gentle()
    drive.until(each(8 * MB), 4)
    assert drive.moved >= PART


def test_others_do_not_wait_for_a_part_that_takes_longer():
    drive = gentle()
    drive.until(each(2 * MB), 4)
    assert drive.moved < PART / 2


def test_as_many_connections_are_kept_as_have_paid():
    """Four are 1.7 times as fast as one."""
    drive = gentle()
    drive.until(each(MB), 4)
    assert drive.until(lambda connections: min(connections, 1.7) * MB, 2) < 1.0


def test_growth_of_slow_start_is_not_taken_for_that_of_more_connections():
    drive = gentle(latency=0.1)

    def growing(_):
        """The rate of one connection doubles in each round trip of the first second."""
        return 8 * MB * min(1.0, 2 ** ((drive.now - 1.0) / 0.1))

    assert set(drive.run(growing, 1.0)) == {1}
    assert max(drive.run(growing, 20.0)) == 4


@pytest.mark.parametrize("begun", [0, MB], ids=["from the beginning", "later"])
def test_store_that_takes_nothing_over_one_connection_gets_others(begun):
    drive = gentle()
    drive.carried = begun
    assert drive.until(each(0), 4) < 5.0


def test_refused_connection_is_not_opened_because_bytes_fly():
    drive = gentle()
    drive.tuner.refuse(0.0, others=1)
    assert set(drive.run(shared(FAST), 4.0)) == {1}


def test_thread_without_time_for_another_connection_gets_none():
    assert set(gentle(busy=0.9).run(each(MB), 60.0)) == {1}


def test_short_rest_gets_no_further_connection():
    assert set(gentle(size=int(0.9 * MB)).run(each(MB), 3.0)) == {1}
