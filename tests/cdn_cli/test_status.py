"""Tests the words for what a transfer is doing."""

import pytest

from cdn_cli.motion import Motion
from cdn_cli.status import clock_text, status_of


def motion(phase, read=0, size=1000, moved=(), began=0.0):
    """Return a motion that was looked at once a second, after each of the counts in ``moved``."""
    made = Motion(size)
    made.enter(phase, read, began)
    for second, count in enumerate(moved):
        made.advance(count)
        made.look(began + second)
    return made


@pytest.mark.parametrize(
    ("made", "now", "text"),
    [
        (motion("receiving", moved=(100, 100, 100)), 2, "100 bytes/s 0:07"),
        (motion("sending", moved=(100, 100, 100), size=None), 2, "100 bytes/s"),
        (motion("sending", moved=(900_000,) * 3, size=9_000_000), 2, "900.0 kB/s 0:07"),
        (motion("receiving"), 2, ""),
        (motion("receiving"), 5, "no answer 0:05"),
        (motion("receiving", moved=(1,) + (0,) * 12), 12, "stalled"),
        (motion("sending", moved=(500, 500)), 1, "finishing"),
        (motion("sending", moved=(500, 500, 0, 0)), 61, "finishing 1:00"),
        (motion("hashing", read=430), 5, "hashing 43 %"),
        (motion("hashing"), 0, "hashing"),
        (motion("verifying", read=1001), 5, "verifying 100 %"),
        (motion("comparing", read=1, size=None), 5, "comparing 0:05"),
        (motion("reading", read=12_300_000, size=None), 5, "reading 12.3 MB"),
        (motion("waiting", began=10.0), 52, "waiting for another process 0:42"),
        (motion("retrying", began=10.0), 3732, "retrying 1:02:02"),
        (motion("finishing"), 0.5, "finishing"),
        (motion(""), 5, ""),
    ],
)
def test_status_names_what_is_going_on(made, now, text):
    assert status_of(made, now).text.strip() == text


def test_short_status_leaves_out_the_rate_and_the_process_that_is_waited_for():
    assert status_of(motion("receiving", moved=(100, 100, 100)), 2).short == "0:07"
    assert status_of(motion("waiting"), 42).short == "waiting 0:42"
    assert status_of(motion("retrying"), 42).short == "retrying 0:42"


def test_status_takes_its_room_before_rate_and_time_are_known():
    assert [len(one) for one in status_of(motion("receiving"), 0)] == [len("99.9 MB/s 0:42"), len("0:42")]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (754, "12:34"), (3600, "1:00:00")])
def test_times_are_as_a_clock_shows_them(seconds, text):
    assert clock_text(seconds) == text
