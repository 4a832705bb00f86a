"""The plan of a download: what each connection is given. Pure logic; the time is an argument."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdn_engine.download.plan import Plan, gaps

pytestmark = pytest.mark.portable

KIB = 1 << 10
MIB = 1 << 20
FIRST = 8 * MIB


def started(size, first=FIRST, part=None, divisible=True):
    """Return a plan whose first answer has arrived, and the span it belongs to."""
    plan = Plan(first, part)
    span = plan.take(1, 0.0)
    plan.set_size(size, span, divisible)
    return plan, span


def finish(plan, span):
    plan.wrote(span, span.left)
    plan.give_back(span)


def after_the_first(size, first=FIRST, part=None):
    """Return a plan of which the first span is on disk."""
    plan, span = started(size, first, part)
    finish(plan, span)
    return plan


def test_first_span_asks_for_the_first_bytes():
    span = Plan(FIRST).take(8, 0.0)
    assert (span.pos, span.stop) == (0, FIRST)


@pytest.mark.parametrize("size", [0, 1, FIRST - 1, FIRST])
def test_small_object_is_complete_after_the_first_span(size):
    plan = after_the_first(size)
    assert plan.complete
    assert plan.on_disk == size
    assert not plan.has_work


def test_nothing_more_can_be_taken_before_the_size_is_known():
    plan = Plan(FIRST)
    plan.take(8, 0.0)
    assert plan.take(8, 0.0) is None
    assert not plan.has_work
    assert plan.left == 0


def test_one_connection_takes_all_the_rest_with_one_request():
    rest = after_the_first(1000 * MIB).take(1, 0.0)
    assert (rest.pos, rest.stop) == (FIRST, 1000 * MIB)


def test_no_more_spans_than_connections_are_under_way():
    plan = after_the_first(1000 * MIB)
    assert all(plan.take(4, 0.0) for _ in range(4))
    assert plan.take(4, 0.0) is None


def test_several_connections_share_half_the_rest_so_that_they_end_together():
    plan = after_the_first(168 * MIB)
    assert plan.take(4, 0.0).left == 20 * MIB
    assert plan.take(4, 0.0).left == 140 * MIB // 8


@pytest.mark.parametrize(("size", "span"), [(9 * MIB, 256 * KIB), (8192 * MIB, 64 * MIB)])
def test_spans_have_a_smallest_and_a_largest_size(size, span):
    assert after_the_first(size).take(16, 0.0).left == span


@pytest.mark.parametrize(("latency", "seconds"), [(0.0, 1), (0.05, 1), (0.5, 4)])
def test_span_is_worth_its_request(latency, seconds):
    """Rather large pieces than a request each second, or one that is mostly latency."""
    plan, span = started(28 * MIB)
    plan.latency = latency
    plan.wrote(span, MIB)
    plan.look(1.0)
    assert plan.take(16, 1.0).left == seconds * MIB


def test_part_size_of_the_caller_binds():
    plan = after_the_first(10 * MIB, first=MIB, part=MIB)
    spans = [plan.take(99, 0.0) for _ in range(9)]
    assert {span.left for span in spans} == {MIB}


def test_part_of_the_callers_size_is_never_shared():
    plan, span = started(64 * MIB, first=64 * MIB, part=64 * MIB)
    plan.wrote(span, 1)
    plan.look(60.0)
    assert not plan.has_work
    assert plan.take(16, 60.0) is None


def test_what_is_left_of_a_span_is_missing_again():
    plan, span = started(FIRST)
    plan.wrote(span, 1000)
    plan.give_back(span)
    assert plan.missing == [(1000, FIRST)]
    assert not plan.complete


def shared_in_the_middle():
    """Return a plan, and the two spans of which the first one's request asked for all of the rest."""
    plan = after_the_first(100 * MIB)
    first = plan.take(1, 0.0)
    plan.shorten(first, 50 * MIB)
    return plan, first, plan.take(2, 0.0)


def test_span_given_back_untouched_is_left_to_the_request_that_asked_for_it():
    plan, first, second = shared_in_the_middle()
    while second is not None:
        plan.give_back(second)
        second = plan.take(2, 0.0)
    assert (first.stop, plan.missing) == (100 * MIB, [])


def test_span_of_which_something_has_arrived_is_missing_although_another_request_asked_for_it():
    plan, first, second = shared_in_the_middle()
    plan.wrote(second, KIB)
    plan.give_back(second)
    assert (first.stop, plan.missing) == (50 * MIB, [(50 * MIB + KIB, 100 * MIB)])


def test_span_given_back_is_not_left_to_a_request_that_asked_for_less():
    plan = after_the_first(168 * MIB)
    first, second = plan.take(4, 0.0), plan.take(4, 0.0)
    plan.give_back(second)
    assert (first.stop, plan.missing) == (28 * MIB, [(28 * MIB, 168 * MIB)])


def test_span_given_back_is_not_left_to_a_request_that_has_been_ended():
    plan = after_the_first(100 * MIB)
    ended = plan.take(1, 0.0)
    plan.shorten(ended, ended.pos)
    plan.give_back(plan.take(2, 0.0))
    assert (ended.left, plan.missing) == (0, [(FIRST, 100 * MIB)])


def test_short_ranges_are_taken_one_at_a_time():
    """Such as those that surplus connections leave."""
    plan = after_the_first(1000 * MIB)
    span = plan.take(2, 0.0)
    plan.look(0.0)
    plan.wrote(span, 8 * MIB)
    plan.look(1.0)
    finish(plan, span)
    plan.missing = [(100 * MIB, 101 * MIB), (200 * MIB, 201 * MIB), (300 * MIB, 400 * MIB)]
    first, second, third = (plan.take(8, 1.0) for _ in range(3))
    assert [first.pos, second.pos] == [100 * MIB, 300 * MIB]
    assert third.pos > 300 * MIB
    finish(plan, first)
    assert plan.take(8, 1.0).pos == 200 * MIB


def test_what_follows_a_shortened_span_is_missing_again():
    plan, span = started(FIRST)
    plan.wrote(span, 1000)
    plan.shorten(span, 2000)
    assert (span.pos, span.stop) == (1000, 2000)
    assert plan.missing == [(2000, FIRST)]


def test_span_is_not_shortened_by_what_is_on_disk_already():
    plan, span = started(FIRST)
    plan.wrote(span, 1000)
    plan.shorten(span, 500)
    assert (span.left, plan.missing) == (0, [(1000, FIRST)])


def test_bytes_after_the_end_of_a_shortened_span_do_not_count():
    plan, span = started(FIRST)
    plan.shorten(span, 1000)
    plan.wrote(span, 5000)
    assert (span.pos, plan.on_disk) == (1000, 1000)


def test_bytes_left_are_those_not_on_disk():
    plan, span = started(10 * MIB)
    plan.wrote(span, MIB)
    assert plan.left == 9 * MIB


def test_surplus_is_what_is_needed_last():
    plan = after_the_first(1000 * MIB)
    spans = [plan.take(4, 0.0) for _ in range(4)]
    assert plan.surplus(2) == spans[2:]
    assert plan.surplus(4) == []


def test_connections_without_an_answer_are_surplus_before_others():
    plan = after_the_first(1000 * MIB)
    spans = [plan.take(4, 0.0) for _ in range(4)]
    for span in (spans[0], spans[3]):
        span.answered = True
    assert plan.surplus(2) == spans[1:3]


def test_connection_is_idle_if_nothing_is_missing():
    plan = after_the_first(9 * MIB)
    assert not plan.is_idle(1)
    plan.take(1, 0.0)
    assert not plan.is_idle(1)
    assert plan.is_idle(2)


def test_without_ranges_one_span_takes_everything():
    plan = Plan(FIRST, ranged=False)
    span = plan.take(1, 0.0)
    plan.set_size(100 * MIB, span)
    plan.take_all(span)
    assert (span.pos, span.stop) == (0, 100 * MIB)
    plan.wrote(span, 1)
    plan.look(60.0)
    assert plan.take(8, 60.0) is None


def test_object_that_cannot_be_told_from_another_version_is_never_shared():
    plan, span = started(FIRST, divisible=False)
    plan.wrote(span, 1)
    plan.look(60.0)
    assert not plan.has_work
    assert plan.take(8, 60.0) is None


def test_store_that_begins_to_ignore_ranges_sends_all_that_is_missing():
    plan = Plan(FIRST)
    plan.resume(10, [(0, 3), (5, 7)])
    span = plan.take(1, 0.0)
    plan.take_all(span)
    assert (span.pos, span.stop) == (3, 10)
    assert plan.on_disk == 3
    finish(plan, span)
    assert plan.complete


def test_object_of_unknown_size_ends_where_its_only_span_ends():
    plan = Plan(FIRST)
    span = plan.take(1, 0.0)
    plan.take_all(span)
    plan.wrote(span, 100 * MIB)
    plan.end_at(100 * MIB)
    plan.give_back(span)
    assert (plan.size, plan.complete) == (100 * MIB, True)


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
    finish(plan, plan.take(1, 0.0))
    assert plan.available(0) == 30


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted).map(tuple)), st.integers(100, 200))
@settings(deadline=None)
def test_gaps_and_ranges_cover_every_byte_once(ranges, size):
    ranges = sorted(ranges)
    covered = {byte for start, stop in ranges for byte in range(start, stop)}
    found = [byte for start, stop in gaps(ranges, size) for byte in range(start, stop)]
    assert sorted(found) == sorted(set(range(size)) - covered)
