"""The models of `link_shaper`: how much a link lets through, with a clock that is a number."""

import itertools
import math
import statistics

import pytest
from link_record import Record
from link_shaper import INITIAL_WINDOW, SLICE, Bucket, Conditions, Shaper, Window, share

RATE = 2e6
RTT = 0.125  # seconds; exact in binary


def carried(shaper, seconds, step=SLICE, rate=RATE, shared=None):
    """Take what is allowed, again and again. Return (when, bytes) of each time there was some."""
    amounts = []
    for turn in range(round(seconds / step)):
        amount = shaper.allow(turn * step, rate, shared, idle=False)
        shaper.spend(amount)
        if amount:
            amounts.append((turn * step, amount))
    return amounts


def total(amounts):
    return sum(amount for _, amount in amounts)


@pytest.mark.parametrize("step", [0.001, SLICE, 0.03, 0.1])
def test_connection_gets_its_rate_however_often_it_asks(step):
    assert total(carried(Shaper(Conditions(), 1, "down"), 10, step)) == pytest.approx(10 * RATE, rel=0.02)


def test_bucket_makes_up_for_a_late_question_and_not_for_a_pause():
    late, paused = Bucket(grace=0.02), Bucket(grace=0.02)
    for bucket in (late, paused):
        bucket.fill(0.0, RATE, idle=True)
        bucket.level = 0.0
    late.fill(0.2, RATE, idle=False)
    paused.fill(0.2, RATE, idle=True)
    assert late.level == pytest.approx(0.2 * RATE)
    assert paused.level == pytest.approx(SLICE * RATE)


def test_pause_shorter_than_the_grace_costs_nothing():
    bucket = Bucket(grace=0.02)
    for turn in range(1, 101):
        bucket.fill(turn * 0.015, RATE, idle=True)
    assert bucket.level > SLICE * RATE


def rounds_of(window, rtt, count, rate=math.inf, begin=0.0):
    """Use the window up in each of so many round trips. Return their bytes."""
    amounts = []
    for turn in range(count):
        window.open(begin + turn * rtt, rate)
        amounts.append(window.left)
        window.left = 0
    return amounts


def test_window_doubles_in_each_round_trip_up_to_what_the_rate_needs():
    amounts = rounds_of(Window(RTT), RTT, 12, RATE)
    assert amounts[:4] == [INITIAL_WINDOW * 2**turn for turn in range(4)]
    assert RATE * RTT < amounts[-1] == amounts[-2] < 4 * RATE * RTT


def test_window_that_does_not_limit_does_not_grow():
    window = Window(RTT)
    for turn in range(5):
        window.open(turn * RTT, RATE)
        assert window.left == INITIAL_WINDOW
        window.left -= INITIAL_WINDOW // 2


@pytest.mark.parametrize("rtt", [RTT / 16, 2 * RTT])
def test_window_begins_again_after_idling(rtt):
    idle = max(0.2, 2 * rtt)
    window = Window(rtt)
    grown = rounds_of(window, rtt, 5)[-1]
    shortly, long_after = 4 * rtt + 0.9 * idle, 4 * rtt + 2 * idle
    assert rounds_of(window, rtt, 1, begin=shortly) == [2 * grown]
    assert rounds_of(window, rtt, 1, begin=long_after) == [INITIAL_WINDOW]


def test_slow_start_costs_the_first_round_trips_only():
    conditions = Conditions(rtt=RTT, slow_start=True)
    amounts = carried(Shaper(conditions, 1, "down"), 10)
    assert total(amounts) == pytest.approx(10 * RATE, rel=0.06)
    assert total(pair for pair in amounts if pair[0] < 2 * RTT) == 3 * INITIAL_WINDOW
    assert total(carried(Shaper(conditions, 1, "down"), 2 * RTT, rate=None, shared=RATE)) == 3 * INITIAL_WINDOW


def factors(seed, number, direction="down", sigma=0.7):
    shaper = Shaper(Conditions(jitter=sigma, seed=seed), number, direction)
    return [shaper.factor(slot * 0.1 + 0.05) for slot in range(3000)]


def test_jitter_is_lognormal_with_mean_1():
    drawn = factors(1, 1)
    assert statistics.mean(drawn) == pytest.approx(1, rel=0.1)
    assert statistics.stdev(map(math.log, drawn)) == pytest.approx(0.7, rel=0.1)
    assert factors(1, 1, sigma=0.0) == [1.0] * 3000


def test_jitter_changes_the_rate():
    amounts = carried(Shaper(Conditions(jitter=0.7), 1, "down"), 100)
    by_slot = [total(pair for pair in amounts if slot <= pair[0] * 10 < slot + 1) for slot in range(1000)]
    assert total(amounts) == pytest.approx(100 * RATE, rel=0.1)
    assert min(by_slot) < 0.1 * RATE / 2 < 2 * 0.1 * RATE < max(by_slot)


def test_same_seed_gives_each_connection_the_same_jitter():
    assert factors(1, 1) == factors(1, 1)
    assert len({tuple(factors(*names)) for names in [(1, 1), (2, 1), (1, 2), (1, 1, "up")]}) == 4


@pytest.mark.parametrize("burst", [0.05, 0.12, 0.3, 1.0])
def test_rate_arrives_in_lumps(burst):
    rate = 0.2 * RATE  # a lump of which is carried at once
    amounts = carried(Shaper(Conditions(burst=burst, seed=1), 1, "down"), 60, rate=rate)
    assert total(amounts) == pytest.approx(60 * rate, rel=0.03)
    times = [when for when, amount in amounts if amount > rate * SLICE]
    gaps = [after - before for before, after in itertools.pairwise(times) if after - before > 2 * SLICE]
    assert statistics.mean(gaps) == pytest.approx(burst, rel=0.1)


def test_lumps_of_connections_come_at_different_times():
    rate, firsts = 0.2 * RATE, set()
    for number in range(20):
        amounts = carried(Shaper(Conditions(burst=1.0), number, "down"), 1.5, rate=rate)
        firsts.add(next(when for when, amount in amounts if amount > rate * SLICE))
    assert len(firsts) > 10


def test_connection_that_idles_keeps_one_lump():
    bucket = Bucket(0.02, burst=0.05)
    for now in (0.0, 10.0):
        bucket.fill(now, RATE, idle=True)
    assert bucket.level == pytest.approx(0.05 * RATE)


def test_rates_change_at_their_time():
    conditions = Conditions(shared=20e6, changes=((3.0, 2e6, None), (5.0, None, 1e6)))
    assert [conditions.rates(when) for when in (0.0, 2.9, 3.0, 60.0)] == [
        (None, 20e6), (None, 20e6), (2e6, None), (None, 1e6)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("amounts", "level", "expected"),
    [
        ([100, 100, 100], 90, [30, 30, 30]),
        ([10, 100, 100], 90, [10, 40, 40]),
        ([100, 10, 20], 1000, [100, 10, 20]),
        ([100, 100], -5, [0, 0]),
        ([100], 1e9, [100]),
    ],
)
def test_shared_rate_is_divided_fairly(amounts, level, expected):
    assert share(amounts, level) == expected


def test_connection_is_at_work_from_a_request_to_the_end_of_its_answer():
    now = 0.0
    record = Record(lambda: now)
    for number in (1, 2):
        assert record.opened(100.0) == number
    for number, direction, when in [
        (1, "up", 100.0), (2, "up", 100.5), (1, "down", 100.5), (1, "down", 101.5), (2, "down", 101.0),
        (1, "up", 103.0), (1, "down", 103.5),
    ]:  # fmt: skip
        record.carried(number, direction, 1000, when)
    now = 104.0
    record.closed(1)
    statistics_of = record.statistics()
    assert statistics_of["active"] == pytest.approx([1.5, 0.5, 0.0, 0.5])
    assert statistics_of["open"] == pytest.approx([2.0, 2.0, 2.0, 2.0])
    assert statistics_of["mean_active"] == pytest.approx(2.5 / 3.5)
    assert statistics_of["mean_active_from_10"] is None
    assert (statistics_of["bytes_sent"], statistics_of["bytes_received"]) == (4000, 3000)


def test_mean_from_the_second_10_on_leaves_out_what_was_before():
    record = Record(lambda: 115.0)
    for number, until in ((1, 105.0), (2, 115.0)):
        record.opened(100.0)
        record.carried(number, "up", 1, 100.0)
        record.carried(number, "down", 1, until)
    assert record.statistics()["mean_active_from_10"] == pytest.approx(1.0)
    assert record.statistics()["mean_active"] == pytest.approx(20 / 15)


def test_statistics_can_be_asked_for_while_connections_are_open():
    record = Record(lambda: 102.0)
    record.opened(100.0)
    record.carried(1, "up", 1, 100.0)
    assert record.statistics() == record.statistics()
    assert record.statistics()["open"] == [1.0, 1.0]
