"""The plan of a download shares work by time: nobody is idle while another has much to do. The clock is an argument."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdn_engine.download.plan import Plan

pytestmark = pytest.mark.portable

STEP = 0.05  # seconds between two looks
KIB = 1 << 10
MIB = 1 << 20
MB = 1_000_000
LEAST = 256 * KIB  # what is too little to be worth a request
YOUNG = 1.6  # seconds in which a connection may still be in slow start, and nothing is known of it


def steady(rate):
    return lambda now: rate * STEP


def bursty(rate, length, phase):
    """Deliver all that arrives in so many seconds at once."""
    steps, first = round(length / STEP), round(phase / STEP)
    return lambda now: rate * length if (round(now / STEP) + first) % steps == 0 else 0


def until(end, rate, then=0.0):
    """Deliver at one rate until a time, and at another after it."""
    return lambda now: (rate if now < end else then) * STEP


class Crew:
    """Connections that download what a plan gives them.

    Args:
        size: The object's size in bytes.
        links: For each connection, a function of the time that returns the bytes which arrive in one step.
        after: The link of a connection that replaces one that has lost its span.
    """

    def __init__(self, size, links, after=None):
        self.plan = Plan(8 * MIB)
        self.plan.resume(size, [])
        self.links, self.spans, self.owed = list(links), [None] * len(links), [0.0] * len(links)
        self.after = after
        self.now = 0.0
        self.cut_at = []
        self.take()

    def step(self):
        self.now += STEP
        for index, span in enumerate(self.spans):
            if span is not None:
                self.owed[index] += self.links[index](self.now)
                amount = min(int(self.owed[index]), span.left)
                self.owed[index] -= amount if span.left > amount else self.owed[index]
                span.answered = span.answered or amount > 0
                self.plan.wrote(span, amount)
                if not span.left:
                    self.end(index)
        self.plan.look(self.now)
        for span in list(self.plan.laggards(len(self.spans), self.now)):
            index = self.spans.index(span)
            self.end(index)
            self.cut_at.append(self.now)
            self.links[index] = self.after or self.links[index]
        self.take()

    def end(self, index):
        self.plan.give_back(self.spans[index])
        self.spans[index] = None

    def take(self):
        for index, span in enumerate(self.spans):
            if span is None:
                self.spans[index] = self.plan.take(len(self.spans), self.now)

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end and not self.plan.complete:
            self.step()

    def finish(self, limit=1000.0):
        """Download everything. Return the seconds it took."""
        self.run(limit)
        assert self.plan.complete
        return self.now


RATES = st.lists(st.floats(0.1 * MB, 20 * MB), min_size=2, max_size=16)


@given(RATES, st.integers(1 * MIB, 500 * MIB))
@settings(deadline=None, max_examples=50)
def test_no_connection_has_much_left_while_another_is_idle(rates, size):
    crew = Crew(size, [steady(rate) for rate in rates])
    while not crew.plan.complete:
        crew.step()
        if None in crew.spans:
            for rate, span in zip(rates, crew.spans, strict=True):
                assert span is None or crew.now - span.began < YOUNG or span.left <= max(LEAST, 2 * rate)


@given(RATES, st.integers(1 * MIB, 500 * MIB))
@settings(deadline=None, max_examples=50)
def test_all_connections_end_together(rates, size):
    crew = Crew(size, [steady(rate) for rate in rates])
    longest = size / sum(rates) + 2.5 + LEAST / min(rates)
    assert crew.finish(limit=2 * longest) <= longest


@pytest.mark.parametrize("slow", [1 * MB, 0.1 * MB, 0.01 * MB])
def test_slow_connection_loses_most_of_its_rest_at_the_end(slow):
    """It would take a minute or longer for what it has been given."""
    crew = Crew(300 * MIB, [steady(10 * MB), steady(10 * MB), until(1.0, 10 * MB, slow)])
    assert crew.finish() <= 300 * MIB / (20 * MB) + 10.0


def test_small_object_is_shared_where_the_link_is_slow():
    plan = Plan(8 * MIB)
    span = plan.take(1, 0.0)
    plan.set_size(8 * MIB, span)
    plan.wrote(span, MIB // 2)
    plan.look(1.0)
    others = [plan.take(8, 1.0) for _ in range(7)]
    assert all(others)
    assert max(one.left for one in [span, *others]) <= 2 * MIB


def test_small_object_is_not_shared_where_the_rest_takes_no_second():
    plan = Plan(8 * MIB)
    span = plan.take(1, 0.0)
    plan.set_size(8 * MIB, span)
    plan.wrote(span, 5 * MIB)
    plan.look(1.0)
    assert not plan.has_work
    assert plan.take(8, 1.0) is None


def test_silent_connection_loses_its_span_after_seconds():
    crew = Crew(1000 * MIB, [until(5.0, 8 * MB), *[steady(8 * MB)] * 7], after=steady(8 * MB))
    crew.run(20.0)
    (cut_at,) = crew.cut_at
    assert cut_at == pytest.approx(8.1, abs=0.15)


def test_silent_connection_loses_all_its_span_at_the_end():
    crew = Crew(40 * MIB, [until(2.0, 8 * MB), steady(8 * MB)], after=steady(8 * MB))
    assert crew.finish() <= 4.3
    assert len(crew.cut_at) == 1


def test_connection_that_is_silent_from_its_answer_on_loses_its_span():
    crew = Crew(1000 * MIB, [lambda now: 0, *[steady(8 * MB)] * 3], after=steady(8 * MB))
    crew.spans[0].answered = True
    crew.run(5.0)
    assert len(crew.cut_at) == 1


def test_connection_without_an_answer_keeps_its_span():
    """How long an answer may take is not for the plan to decide."""
    crew = Crew(1000 * MIB, [lambda now: 0, *[steady(8 * MB)] * 3])
    crew.run(20.0)
    assert crew.cut_at == []


def test_nobody_loses_a_span_where_all_are_silent():
    crew = Crew(1000 * MIB, [until(5.0, 8 * MB)] * 8)
    crew.run(60.0)
    assert crew.cut_at == []


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("length", [0.3, 1.0])
@pytest.mark.parametrize("size", [4 * MIB, 64 * MIB])
def test_bursts_are_no_silence(count, length, size):
    crew = Crew(size, [bursty(MB, length, index * length / count) for index in range(count)])
    crew.finish()
    assert crew.cut_at == []


def test_long_bursts_lengthen_the_patience():
    links = [bursty(8 * MB, 1.5, index * 0.3) for index in range(5)]
    links[0] = lambda now, burst=links[0]: burst(now) if now < 30 else 0
    crew = Crew(10_000 * MIB, links, after=links[1])
    crew.run(60.0)
    assert crew.plan.gap == pytest.approx(1.5)
    assert 30 + 3 * 1.5 - 1.5 <= crew.cut_at[0] <= 30 + 3 * 1.5 + 0.3


def test_outage_is_no_property_of_the_link():
    crew = Crew(1000 * MIB, [lambda now: 0 if 5 < now < 9 else MB * STEP] * 4)
    crew.run(20.0)
    assert crew.plan.gap < 1.0


@pytest.mark.parametrize("latency", [0.5, 1.0])
def test_far_stores_are_given_more_time(latency):
    crew = Crew(1000 * MIB, [until(5.0, 8 * MB), *[steady(8 * MB)] * 3], after=steady(8 * MB))
    crew.plan.latency = latency
    crew.run(30.0)
    (cut_at,) = crew.cut_at
    assert cut_at == pytest.approx(5.1 + 8 * latency, abs=0.15)


def test_connection_much_slower_than_the_others_loses_its_span():
    crew = Crew(1000 * MIB, [steady(0.5 * MB), *[steady(8 * MB)] * 3], after=steady(8 * MB))
    crew.run(10.0)
    assert len(crew.cut_at) == 1


def test_connection_somewhat_slower_than_the_others_keeps_its_span():
    crew = Crew(1000 * MIB, [steady(2 * MB), *[steady(8 * MB)] * 3])
    crew.run(20.0)
    assert crew.cut_at == []


def test_slower_one_of_two_connections_keeps_its_span():
    """Of two alone, nobody can tell which is as it should be."""
    crew = Crew(1000 * MIB, [steady(0.5 * MB), steady(8 * MB)])
    crew.run(20.0)
    assert crew.cut_at == []
