"""Whatever the connections of a download do, its plan has every byte downloaded once. Pure logic."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdn_engine.download.plan import Plan

pytestmark = pytest.mark.portable

MIB = 1 << 20


def merged(ranges):
    """Return sorted ranges with those that touch made one. Fails if two overlap."""
    result = []
    for start, stop in sorted(ranges):
        if result and start == result[-1][1]:
            result[-1] = (result[-1][0], stop)
        elif start < stop:
            assert not result or start > result[-1][1]
            result.append((start, stop))
    return result


class Connections:
    """Connections that come, go and break. Checks after each step what the plan says."""

    def __init__(self, size, part):
        self.plan = Plan(8 * MIB, part)
        span = self.plan.take(1, 0.0)
        self.plan.set_size(size, span)
        self.active, self.written = [span], []
        self.now = 0.0

    def take(self, connections):
        span = self.plan.take(connections, self.now)
        if span is not None:
            span.answered = True
            self.active.append(span)

    def write(self, index, amount):
        span = self.active[index % len(self.active)]
        before = span.pos
        self.plan.wrote(span, amount)
        self.written.append((before, span.pos))
        if not span.left:
            self.end(span)

    def end(self, span):
        self.active.remove(span)
        self.plan.give_back(span)

    def shorten(self, index, amount):
        span = self.active[index % len(self.active)]
        self.plan.shorten(span, span.pos + amount)
        if not span.left:
            self.end(span)

    def look(self, connections, seconds):
        self.now += seconds
        self.plan.look(self.now)
        for span in list(self.plan.laggards(connections, self.now)):
            self.end(span)
        for span in self.plan.surplus(connections):
            self.end(span)

    def check(self):
        plan = self.plan
        under_way = [(span.pos, span.stop) for span in self.active]
        assert plan.active == self.active
        assert plan.finished() == merged(self.written)
        assert plan.on_disk == sum(stop - start for start, stop in self.written)
        assert merged([*self.written, *plan.missing, *under_way]) == [(0, plan.size)]


COUNT = st.integers(1, 16)
INDEX = st.integers(0, 15)
AMOUNT = st.integers(1, 40 * MIB)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), COUNT),
        st.tuples(st.just("write"), INDEX, AMOUNT),
        st.tuples(st.just("give back"), INDEX),
        st.tuples(st.just("shorten"), INDEX, AMOUNT),
        st.tuples(st.just("look"), COUNT, st.integers(0, 5000)),
    ),
    max_size=100,
)


@given(st.integers(1, 300 * MIB), st.sampled_from([None, None, 3 * MIB]), STEPS)
@settings(deadline=None, max_examples=300)
def test_every_byte_is_downloaded_exactly_once(size, part, steps):
    """Whatever connections do: come and go, break anywhere, lose their spans, in part or whole."""
    connections = Connections(size, part)
    for step in steps:
        match step:
            case "take", count:
                connections.take(count)
            case "look", count, milliseconds:
                connections.look(count, milliseconds / 1000)
            case "write", index, amount if connections.active:
                connections.write(index, amount)
            case "shorten", index, amount if connections.active:
                connections.shorten(index, amount)
            case "give back", index if connections.active:
                connections.end(connections.active[index % len(connections.active)])
        connections.check()
    while not connections.plan.complete:
        connections.take(len(connections.active) + 1)
        connections.write(0, connections.plan.size)
        connections.check()
    assert merged(connections.written) == [(0, size)]
