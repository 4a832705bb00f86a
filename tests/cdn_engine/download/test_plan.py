"""The plan of a download: every byte is downloaded once, whatever the connections do. Pure logic, no clock."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdn_engine.download.plan import Plan, gaps

pytestmark = pytest.mark.portable

MIB = 1 << 20
FIRST = 8 * MIB


def started(size, first=FIRST, part=None):
    """Return a plan whose first answer has arrived, and the span it belongs to."""
    plan = Plan(first, part)
    span = plan.take(1)
    plan.set_size(size, span)
    return plan, span


def finish(plan, span):
    plan.wrote(span, span.left)
    plan.give_back(span)


def test_first_span_asks_for_the_first_bytes():
    span = Plan(FIRST).take(8)
    assert (span.pos, span.stop) == (0, FIRST)


@pytest.mark.parametrize("size", [0, 1, FIRST - 1, FIRST])
def test_small_object_is_complete_after_the_first_span(size):
    plan, span = started(size)
    finish(plan, span)
    assert plan.complete
    assert plan.is_one_part
    assert plan.on_disk == size
    assert not plan.has_work


def test_one_connection_takes_all_the_rest_with_one_request():
    plan, span = started(1000 * MIB)
    finish(plan, span)
    rest = plan.take(1)
    assert (rest.pos, rest.stop) == (FIRST, 1000 * MIB)


def test_several_connections_take_parts_of_a_sixteenth():
    plan, span = started(1024 * MIB)
    finish(plan, span)
    spans = [plan.take(4) for _ in range(4)]
    assert [span.left for span in spans] == [64 * MIB] * 4
    assert plan.take(4) is None


@pytest.mark.parametrize(("size", "part"), [(64 * MIB, 8 * MIB), (256 * MIB, 16 * MIB), (8192 * MIB, 64 * MIB)])
def test_parts_have_a_smallest_and_a_largest_size(size, part):
    plan, span = started(size)
    finish(plan, span)
    assert plan.take(2).left == part


def test_another_connection_takes_half_of_what_the_largest_span_has_left():
    plan, span = started(20 * MIB)
    finish(plan, span)
    rest = plan.take(1)
    half = plan.take(2)
    assert (rest.pos, rest.stop) == (8 * MIB, 14 * MIB)
    assert (half.pos, half.stop) == (14 * MIB, 20 * MIB)


def test_span_with_little_left_is_not_shared():
    plan, span = started(12 * MIB)
    finish(plan, span)
    rest = plan.take(1)
    plan.wrote(rest, 1)
    assert plan.take(2) is None
    assert not plan.has_work


def test_part_size_of_the_caller_binds():
    plan, span = started(10 * MIB, first=MIB, part=MIB)
    finish(plan, span)
    spans = [plan.take(99) for _ in range(9)]
    assert {span.left for span in spans} == {MIB}
    assert plan.take(99) is None


def test_what_is_left_of_a_span_is_missing_again():
    plan, span = started(FIRST)
    plan.wrote(span, 1000)
    plan.give_back(span)
    assert plan.missing == [(1000, FIRST)]
    assert not plan.complete


def test_without_ranges_one_span_takes_everything():
    plan = Plan(FIRST, ranged=False)
    span = plan.take(1)
    plan.set_size(100 * MIB, span)
    plan.take_all(span)
    assert (span.pos, span.stop) == (0, 100 * MIB)
    assert plan.take(8) is None


def test_store_that_begins_to_ignore_ranges_sends_all_that_is_missing():
    plan = Plan(FIRST)
    plan.resume(10, [(0, 3), (5, 7)])
    span = plan.take(1)
    plan.take_all(span)
    assert (span.pos, span.stop) == (3, 10)
    assert plan.on_disk == 3
    finish(plan, span)
    assert plan.complete


def test_restarted_span_begins_at_byte_0():
    plan, span = started(FIRST)
    plan.wrote(span, 1000)
    plan.restart(span)
    assert (span.pos, plan.on_disk) == (0, 0)


def test_resumed_plan_misses_what_was_not_finished():
    plan = Plan(FIRST)
    plan.resume(100, [(0, 10), (20, 30)])
    assert plan.missing == [(10, 20), (30, 100)]
    assert plan.on_disk == 20
    assert plan.finished() == [(0, 10), (20, 30)]


def test_available_bytes_end_at_the_first_gap():
    plan = Plan(FIRST)
    plan.resume(100, [(0, 10), (20, 30)])
    assert plan.available(0) == 10
    assert plan.available(10) == 0
    span = plan.take(1)
    plan.wrote(span, span.left)
    plan.give_back(span)
    assert plan.available(0) == 30


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted).map(tuple)), st.integers(100, 200))
def test_gaps_and_ranges_cover_every_byte_once(ranges, size):
    ranges = sorted(ranges)
    covered = {byte for start, stop in ranges for byte in range(start, stop)}
    found = [byte for start, stop in gaps(ranges, size) for byte in range(start, stop)]
    assert sorted(found) == sorted(set(range(size)) - covered)


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


@pytest.mark.parametrize("seed", range(200))
def test_every_byte_is_downloaded_exactly_once(seed):
    """Connections come and go, break anywhere and give back what is left."""
    rng = random.Random(seed)
    size = rng.randrange(1, 300 * MIB)
    plan, first = started(size, part=rng.choice([None, None, 3 * MIB]))
    active, written = [first], []
    while not plan.complete:
        if not active or rng.random() < 0.5:
            span = plan.take(len(active) + 1)
            if span is not None:
                active.append(span)
        span = rng.choice(active)
        amount = min(span.left, rng.randrange(1, 40 * MIB))
        written.append((span.pos, span.pos + amount))
        plan.wrote(span, amount)
        if not span.left or rng.random() < 0.2:
            active.remove(span)
            plan.give_back(span)
        assert plan.active == active
        assert plan.finished() == merged(written)
        assert plan.on_disk == sum(stop - start for start, stop in written)
    assert merged(written) == [(0, size)]
