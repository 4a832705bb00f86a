"""The simulated links do what they are said to do: what the tests of the tuner find out is worth no more than that."""

import math

import pytest
from simulator import FIRST, TICK, TIMEOUT, WINDOW, Download, Flow, Link, variations

from cdn_engine.tuner import Tuner

pytestmark = pytest.mark.portable

MB = 1_000_000
NEAR = 0.001  # seconds of a round trip that costs next to nothing


def download(connections, size, **model):
    """Download with a fixed number of connections. Return the seconds."""
    return Download(Link("", size, **model), Tuner.fixed(connections, 0.0)).run().seconds


@pytest.mark.parametrize("rate", [0.5 * MB, 20 * MB])
def test_one_connection_takes_the_size_over_its_rate(rate):
    assert download(1, int(20 * rate), rate=rate, rtt=NEAR) == pytest.approx(20.0, abs=0.5)


@pytest.mark.parametrize("connections", [2, 8, 16])
def test_rates_of_connections_add_up(connections):
    seconds = download(connections, 20 * connections * MB, rate=MB, rtt=NEAR)
    assert 20.0 <= seconds <= 20.0 + FIRST / MB


@pytest.mark.parametrize("connections", [1, 3, 16])
def test_shared_rate_is_shared(connections):
    assert download(connections, 200 * MB, rate=10 * MB, shared=10 * MB, rtt=NEAR) == pytest.approx(20.0, abs=0.5)


def test_what_one_connection_leaves_is_for_the_others():
    """One is silent: the other has all of the rate, and not half."""
    link = {"rate": 10 * MB, "shared": 10 * MB, "silent": (1, 0), "rtt": NEAR}
    assert download(2, 100 * MB, **link) == pytest.approx(10.0, abs=1.5)


@pytest.mark.parametrize("rtt", [0.1, 0.4])
def test_slow_start_takes_a_round_trip_for_each_doubling(rtt):
    rounds = math.log2(MB / WINDOW + 1)
    assert download(1, MB, rtt=rtt) == pytest.approx((2 + rounds) * rtt, abs=2 * rtt)
    assert download(1, 4 * MB, rtt=rtt) - download(1, MB, rtt=rtt) == pytest.approx(2 * rtt, abs=2.1 * TICK)


def test_connection_and_request_take_a_round_trip_each():
    assert download(1, 1000, rtt=1.0) == pytest.approx(2.0, abs=0.2)


def test_slow_start_begins_again_after_idling():
    flow = Flow(0, Link("", MB, rtt=0.1), 0.0)
    flow.window = MB
    for idle_since, asked_at in [(1.0, 1.1), (2.0, 3.0)]:
        before, flow.idle_since = flow.window, idle_since
        flow.request(asked_at)
        assert flow.window == (before if asked_at == 1.1 else WINDOW)


@pytest.mark.parametrize("burst", [0.1, 0.5, 1.0])
def test_bursts_arrive_whole(burst):
    flow, arrivals = Flow(0, Link("", 100 * MB, burst=burst, rtt=NEAR), 0.0), []
    for step in range(1, 201):
        if arrived := flow.carry(MB * TICK, TICK, 100 * MB, step * TICK):
            arrivals.append((step * TICK, arrived))
    whole = arrivals[1:]
    assert len(whole) == pytest.approx(10.0 / burst, abs=2)
    assert all(arrived == pytest.approx(MB * burst, abs=1.1 * MB * TICK) for _, arrived in whole)


def test_bursts_change_nothing_about_the_rate():
    assert download(1, 20 * MB, rate=MB, rtt=NEAR, burst=0.7) == pytest.approx(20.0, abs=1.0)


def test_jitter_is_another_one_for_each_seed_and_the_same_for_one():
    link = {"rate": MB, "jitter": 0.7, "rtt": NEAR}
    assert download(4, 40 * MB, seed=1, **link) == download(4, 40 * MB, seed=1, **link)
    assert len({download(4, 40 * MB, seed=seed, **link) for seed in range(5)}) > 1


def test_connections_are_reset_and_what_is_under_way_is_sent_again():
    running = Download(Link("", 40 * MB, rate=MB, reset_every=4 * MB), Tuner.fixed(4, 0.0))
    result = running.run()
    assert running.opened >= 9
    assert 1.0 < result.sent < 1.1


def test_silent_connection_delivers_nothing_more():
    """Alone it is given up after the read timeout, and what it has not brought is asked for again."""
    seconds = download(1, 5 * MB, rate=MB, rtt=NEAR, silent=(0, 2 * MB))
    assert seconds == pytest.approx(5.0 + TIMEOUT, abs=1.0)


def test_store_takes_no_more_connections_than_it_is_said_to():
    result = Download(Link("", 40 * MB, rate=MB, rtt=NEAR, most=2), Tuner.fixed(8, 0.0)).run()
    assert result.mean <= 2
    assert result.seconds >= 20.0


def test_rates_change_at_their_time():
    assert download(1, 60 * MB, rate=10 * MB, rtt=NEAR, change=(5 / 6, MB, MB)) == pytest.approx(15.0, abs=1.5)


def test_mean_number_from_second_10_on_is_that_of_the_rest():
    link = Link("", 40 * MB, rate=MB, rtt=NEAR)
    result = Download(link, Tuner.fixed(2, 0.0)).run()
    assert (result.mean, result.late) == pytest.approx((2, 2), abs=0.3)
    assert Download(Link("", MB, rate=MB), Tuner.fixed(2, 0.0)).run().late is None


def test_links_that_are_drawn_depend_on_the_seed_alone():
    assert variations(40, seed=3) == variations(40, seed=3)
    assert variations(40, seed=3) != variations(40, seed=4)
    assert variations(40, seed=3)[:20] == variations(20, seed=3)
