"""What the threads of one download share."""

import time

import pytest

from cdn_engine.download.settings import Settings
from cdn_engine.download.state import State
from cdn_engine.wire.deadline import Deadline

pytestmark = pytest.mark.portable

PART = 1 << 20  # bytes
LONG = 30.0  # seconds, much longer than a connection may be silent


@pytest.fixture
def state():
    return State(Settings(PART, PART, 3, fixed=True), None, Deadline(None))


@pytest.fixture
def connections(state):
    """Three connections whose answers have begun."""
    begun = [state.take(False)]
    state.plan.set_size(12 * PART, begun[0].span)
    begun += [state.take(False), state.take(False)]
    for connection in begun:
        state.answered(connection)
    return begun


def test_connection_that_goes_on_after_a_pause_is_neither_silent_nor_slow(state, connections):
    """Whenever the calling thread looks: here, after the pause and before the next byte."""
    paused, *others = connections
    now = time.monotonic()
    for step in range(round(LONG / 0.05)):
        for connection in connections if step < 10 else others:
            state.plan.wrote(connection.span, 1000)
        paused.delivering = step < 10
        state.steer(now := now + 0.05, None)
    paused.deliver(now)
    state.steer(now + 0.05, None)
    assert paused.cut_off is None


def test_connection_that_is_silent_after_a_pause_is_cut(state, connections):
    paused, *others = connections
    now = time.monotonic()
    paused.deliver(now)
    for _ in range(round(LONG / 0.05)):
        for connection in others:
            state.plan.wrote(connection.span, 1000)
        state.steer(now := now + 0.05, None)
    assert "slower" in paused.cut_off


def test_download_that_is_to_stay_at_one_connection_does_so():
    """Whatever the budget has."""
    state = State(Settings(PART), None, Deadline(None))
    connection = state.take(False)
    state.plan.set_size(1000 * PART, connection.span)
    state.answered(connection)
    state.stay_at_one()
    now = time.monotonic()
    for _ in range(round(LONG / 0.05)):
        state.transferred += PART
        state.steer(now := now + 0.05, None)
        assert (state.tuner.most, state.tuner.target) == (1, 1)
    state.leave_budget()
