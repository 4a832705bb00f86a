"""Tests rates and times left. The clock is an argument."""

import pytest

from cdn_cli.motion import Motion, MovingTime
from cdn_engine.phases import FINISHING, HASHING, RECEIVING, RETRYING, SENDING, WAITING

MB = 1_000_000


class Drive:
    """A transfer that is looked at ten times a second."""

    def __init__(self, size=1000 * MB, phase=RECEIVING):
        self.now = 0.0
        self.motion = Motion(size)
        self.motion.enter(phase, 0, 0.0)

    def move(self, seconds, rate):
        for _ in range(round(10 * seconds)):
            self.now += 0.1
            self.motion.advance(round(rate / 10))
            self.motion.look(self.now)
        return self.motion

    def enter(self, phase):
        self.motion.enter(phase, 0, self.now)


def test_rate_and_time_left_are_those_of_the_last_ten_seconds():
    drive = Drive(size=1000 * MB)
    drive.move(60, 10 * MB)
    motion = drive.move(11, 1 * MB)
    assert motion.rate == pytest.approx(1 * MB, rel=0.01)
    assert motion.left == pytest.approx(389, rel=0.01)


def test_rate_of_a_transfer_that_has_stopped_moving_falls_to_zero():
    drive = Drive()
    drive.move(60, 10 * MB)
    assert drive.move(5, 0).rate == pytest.approx(5 * MB, rel=0.05)
    assert drive.move(6, 0).rate == 0
    assert drive.motion.left is None


def test_time_before_the_first_byte_does_not_count():
    drive = Drive()
    assert drive.move(30, 0).rate is None
    assert drive.move(1, MB).rate == pytest.approx(MB, rel=0.01)


def test_what_a_connection_takes_at_once_in_the_beginning_does_not_count():
    drive = Drive(phase=SENDING)
    drive.motion.advance(300_000)  # into the buffers of the system
    drive.motion.look(drive.now)
    assert drive.move(3, 10_000).rate == pytest.approx(10_000, rel=0.01)


@pytest.mark.parametrize("phase", [HASHING, WAITING, RETRYING, FINISHING])
def test_time_in_which_nothing_can_move_does_not_count(phase):
    drive = Drive()
    drive.move(5, MB)
    drive.enter(phase)
    drive.move(60, 0)
    drive.enter(RECEIVING)
    assert drive.move(2, MB).rate == pytest.approx(MB, rel=0.05)


def test_bytes_that_are_sent_again_do_not_make_the_rate_negative():
    drive = Drive(phase=SENDING)
    drive.move(2, MB)
    drive.motion.advance(-2 * MB)
    motion = drive.move(2, MB)
    assert motion.bytes == 2 * MB
    assert motion.rate == pytest.approx(MB, rel=0.05)


def test_no_rate_is_told_of_less_than_half_a_second():
    assert Drive().move(0.4, MB).rate is None


def test_rate_is_not_known_before_the_first_look():
    assert Motion(5).rate is None
    assert Motion(5).left is None


def test_time_in_which_several_move_counts_once():
    time = MovingTime()
    time.note("a", HASHING, 0.0)
    time.note("a", SENDING, 10.0)
    time.note("b", SENDING, 11.0)
    time.note("a", "", 13.0)
    assert time.seconds(14.0) == 4.0
    time.note("b", FINISHING, 14.0)
    time.note("b", "", 60.0)
    assert time.seconds(100.0) == 4.0
