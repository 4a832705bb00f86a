"""The bandwidth limit that connections share."""

import pytest

from cdn_engine.wire.pace import Pace

pytestmark = pytest.mark.portable


def test_no_limit_never_waits():
    pace = Pace(None)
    assert not pace.limited
    pace.keep(1 << 40, "connection", lambda seconds: pytest.fail("waited"))


def test_what_exceeds_the_limit_has_to_wait():
    waits = []
    pace = Pace(1000)
    assert pace.limited
    for _ in range(3):
        pace.keep(10_000, "connection", lambda seconds: waits.append(seconds) or True)
    assert waits
    assert all(seconds > 0 for seconds in waits)


def test_waiting_can_be_given_up():
    pace = Pace(1)
    calls = []
    for _ in range(2):
        pace.keep(1 << 30, "connection", lambda seconds: calls.append(seconds) or True)
    assert len(calls) <= 2
