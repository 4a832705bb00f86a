"""The tuner over simulated links: how soon an upload uses what there is, and how much is unfinished at any time."""

import itertools

import pytest
from simulator import Link
from upload_simulator import PART, Upload

from cdn_engine.tuner import Tuner

MIB = 1 << 20
SIZE = 256 * MIB
RTTS = [0.005, 0.05, 0.2]


@pytest.mark.parametrize("rtt", RTTS)
@pytest.mark.parametrize("rate", [0.5 * MIB, 1 * MIB, 2 * MIB, 8 * MIB])
def test_all_connections_are_soon_in_use_where_each_is_slow(rate, rtt):
    link = Link("", SIZE, rate=rate, rtt=rtt)
    outcome = Upload(link).run()
    best = Upload(link, Tuner.fixed(16, 0.0)).run().seconds
    assert outcome.reached(16) <= 2.0 + 16 * rtt
    assert outcome.seconds <= best + 2.0 + 16 * rtt


@pytest.mark.parametrize("rtt", [0.005, 0.05])
@pytest.mark.parametrize("rate", [1 * MIB, 8 * MIB])
def test_little_is_unfinished_on_a_slow_link(rate, rtt):
    outcome = Upload(Link("", SIZE, shared=rate, rtt=rtt)).run()
    amounts = [amount for _, amount in outcome.unfinished]
    assert sum(amounts) / len(amounts) < 4 * MIB
    assert max(amounts) <= 2 * PART
    assert max(target for _, target in outcome.targets) <= 4
    assert outcome.seconds < 1.15 * SIZE / rate


@pytest.mark.parametrize("rtt", [0.005, 0.05])
def test_parts_are_finished_from_the_first_second_on(rtt):
    outcome = Upload(Link("", SIZE, shared=8 * MIB, rtt=rtt)).run()
    assert outcome.finished[0] < 1.0
    assert max(later - sooner for sooner, later in itertools.pairwise(outcome.finished)) < 1.5


@pytest.mark.parametrize("rtt", RTTS)
@pytest.mark.parametrize("rate", [8 * MIB, 40 * MIB])
def test_link_that_a_few_connections_fill_is_used(rate, rtt):
    outcome = Upload(Link("", SIZE, shared=rate, rtt=rtt)).run()
    assert outcome.seconds <= 1.5 * SIZE / rate + 30 * rtt
