"""The moment by which a transfer has to be done."""

import pytest

from cdn_engine.wire.deadline import Deadline

pytestmark = pytest.mark.portable


def test_no_deadline_allows_any_pause():
    assert Deadline(None).allows(1e12)


def test_deadline_allows_what_ends_before_it():
    deadline = Deadline(1000)
    assert deadline.allows()
    assert deadline.allows(100)
    assert not deadline.allows(1001)


def test_past_deadline_allows_nothing():
    assert not Deadline(-1).allows()
