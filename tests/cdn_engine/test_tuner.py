"""How many connections a transfer uses. The clock and the counts are arguments."""

import itertools
import statistics

import pytest
from drive import MB, STEP, Drive, each, opened, shared

pytestmark = pytest.mark.portable

FEWEST = 2  # connections that are not too many for any link
FEW = 2.5  # mean number of connections, from second 10 on, where one fills the link


def rises(targets):
    """Return when the target rose, in seconds."""
    return [STEP * index for index, (few, many) in enumerate(itertools.pairwise(targets)) if many > few]


RATES = [0.2 * MB, 1 * MB, 10 * MB, 100 * MB]
LATENCIES = [0.001, 0.04, 0.3]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("latency", LATENCIES)
def test_link_that_limits_each_connection_gets_all_of_them(rate, latency):
    targets = Drive(latency=latency).run(each(rate), 60.0)
    assert max(targets[: round((1 + 10 * latency) / STEP)]) == 16
    assert statistics.fmean(targets) >= 14.5


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("latency", LATENCIES)
def test_link_that_one_connection_fills_comes_down_to_two(rate, latency):
    targets = Drive(latency=latency).run(shared(rate), 120.0)
    assert statistics.mode(targets) == FEWEST
    assert statistics.fmean(targets[round((10 + 10 * latency) / STEP) :]) <= FEW


@pytest.mark.parametrize("filled", [3, 6])
def test_link_that_a_few_fill_gets_hardly_more(filled):
    def link(connections):
        return MB * min(connections, filled)

    targets = Drive().run(link, 120.0)[round(20 / STEP) :]
    assert 0.9 * filled <= statistics.fmean(targets) <= 1.5 * filled + 1


def test_rest_of_less_than_a_second_gets_no_further_connection():
    assert set(Drive(size=int(0.9 * MB)).run(each(MB), 3.0)) == {1}


def test_short_rest_gets_a_few_connections():
    assert max(Drive(size=2 * MB).run(each(MB), 1.0)) == 8


def test_thread_without_time_for_another_connection_gets_none():
    assert set(Drive(busy=0.9).run(each(MB), 60.0)) == {1}


def test_connections_are_opened_once_the_cpu_is_free():
    drive = Drive(busy=0.9)
    drive.run(each(MB), 10.0)
    drive.busy = 0.3
    assert drive.until(each(MB), 16) < 2.0


def test_nothing_is_judged_before_the_new_connections_deliver():
    drive = Drive()
    drive.unanswered = 15
    drive.until(shared(MB), 16, limit=1.0)
    assert set(drive.run(shared(MB), 4.0)) == {16}


def test_connections_that_never_deliver_do_not_stop_the_trials():
    drive = opened()
    drive.unanswered = 1
    drive.until(shared(MB), FEWEST, limit=60.0)


def test_number_of_connections_stays_if_further_ones_bring_nothing():
    """Some of the 16 would be opened because the rest takes long; the first ones show that they are for nothing."""
    targets = Drive(size=2 * MB).run(shared(MB), 1.5)
    assert max(targets) < 16


def test_trial_of_fewer_that_costs_is_taken_back():
    drive = opened()
    targets = drive.run(each(MB), 20.0)
    assert min(targets) < 16
    assert targets[-1] == 16
    assert targets.count(16) >= 0.75 * len(targets)


def test_losses_of_several_trials_do_not_add_up():
    """Each step loses less than a tenth, all of them a third."""

    def link(connections):
        return MB * connections / (connections + 1.2)

    targets = opened().run(link, 30.0)
    assert link(targets[-1]) >= 0.9 * link(16)


def test_one_more_than_enough_is_kept():
    """Exactly enough connections have no time to spare for the latency of requests."""
    targets = opened().run(lambda connections: MB * min(connections, 3.7), 30.0)
    assert statistics.mode(targets[round(10 / STEP) :]) == 5


def test_trials_begin_late_where_they_are_quick():
    assert set(opened().run(shared(MB), 3.0)) == {16}


def test_trial_costs_little_where_all_are_needed():
    assert min(opened().run(each(MB), 60.0)) >= 12


def test_one_more_is_tried_again_after_pauses_of_a_few_seconds():
    drive = Drive()
    drive.until(shared(MB), FEWEST)
    targets = drive.run(shared(MB), 500.0)
    tried = rises(targets)
    pauses = [round(later - sooner) for sooner, later in itertools.pairwise(tried)]
    assert pauses == sorted(pauses)
    assert tried[0] < pauses[-1] <= 8
    assert max(targets) == FEWEST + 1
    assert statistics.fmean(targets) <= FEW


def test_fewer_are_tried_again_after_pauses_that_double_up_to_a_limit():
    drive = opened()
    targets = drive.run(each(MB), 500.0)
    tried = [STEP * index for index, (many, few) in enumerate(itertools.pairwise(targets)) if few < many]
    pauses = [round(later - sooner) for sooner, later in itertools.pairwise(tried)]
    assert 10 <= pauses[0] < 20
    assert 20 <= min(pauses[1:]) <= max(pauses) <= 30


def test_short_transfer_keeps_all_connections():
    """Its end comes before the number could matter."""
    assert set(opened(size=8 * MB).run(shared(MB), 7.0)) == {16}


@pytest.mark.parametrize("before", [4 * MB, 16 * MB, 160 * MB])
def test_rate_that_falls_leads_to_a_new_trial(before):
    drive = opened()
    drive.run(each(before / 16), 120.0)
    assert drive.until(shared(before / 4), FEWEST, limit=12.0)


def test_rate_that_rises_leads_to_more_connections():
    drive = Drive()
    drive.run(shared(MB), 200.0)
    drive.until(shared(MB), FEWEST)
    assert drive.until(each(5 * MB), 16, limit=10.0)


def test_limit_that_goes_is_noticed_after_a_pause():
    """One connection is as fast as before: only a trial shows that more are faster now."""
    drive = Drive()
    drive.run(shared(MB), 60.0)
    assert drive.until(each(MB), 16, limit=15.0)


def test_change_that_hardly_shows_does_not_hide_that_more_are_faster():
    """Seven connections are about as fast now as five were before."""
    drive = opened()
    drive.run(lambda connections: MB * min(connections, 4), 60.0)
    assert drive.until(each(0.6 * MB), 16, limit=10.0)


def test_outage_is_no_reason_for_fewer_connections():
    drive = opened()
    drive.run(each(MB), 15.0)
    drive.run(each(0), 60.0)
    assert min(drive.run(each(MB), 30.0)) >= 12


def first_trial(**options):
    """Return how many seconds it takes to find out that fewer connections are too few."""
    targets = opened(**options).run(each(MB), 60.0)
    began = next(index for index, target in enumerate(targets) if target < 16)
    return STEP * next(index for index, target in enumerate(targets[began:]) if target == 16)


@pytest.mark.parametrize(("latency", "seconds"), [(0.04, 1.0), (0.5, 3.0), (1.0, 6.0)])
def test_latency_lengthens_the_measurement(latency, seconds):
    assert seconds <= first_trial(latency=latency) <= 3 * seconds


@pytest.mark.parametrize(("burst", "seconds"), [(0.1, 1.0), (1.0, 3.0), (2.0, 6.0)])
def test_bursts_lengthen_the_measurement(burst, seconds):
    assert seconds <= first_trial(burst=burst) <= 3 * seconds


@pytest.mark.parametrize("burst", [0.1, 0.3, 0.7, 1.0, 2.0])
def test_bursts_do_not_hide_what_the_link_is_like(burst):
    assert statistics.fmean(Drive(burst=burst).run(each(MB), 60.0)) >= 12
    assert statistics.fmean(Drive(burst=burst).run(shared(MB), 120.0)[round((10 + 20 * burst) / STEP) :]) <= FEW
