"""What limits the number of connections: the store, the caller and the budget. The clock is an argument."""

import pytest
from drive import MB, Drive, each, opened, shared

from cdn_engine.tuner import Tuner

pytestmark = pytest.mark.portable

FEWEST = 2  # connections that are not too many for any link


def test_refused_connection_is_tried_again_after_a_pause():
    drive = opened()
    drive.tuner.refuse(drive.now, others=7)
    assert max(drive.run(each(MB), 4.9)) == 7
    assert max(drive.run(each(MB), 15.0)) > 7


def test_refusal_leaves_no_more_than_there_are():
    drive = Drive(size=2 * MB)
    drive.run(each(MB), 0.5)
    few = drive.tuner.target
    drive.tuner.refuse(drive.now, others=12)
    assert drive.tuner.target == few


def test_connections_refused_together_cost_one_pause():
    together, alone = opened(tuner=Tuner.fixed(16, 0.0)), opened(tuner=Tuner.fixed(16, 0.0))
    alone.tuner.refuse(alone.now, 2)
    for others in range(15, 1, -1):
        together.tuner.refuse(together.now, others)
    assert together.tuner.target == 2
    assert together.until(each(MB), 16) == alone.until(each(MB), 16)


def test_refusal_may_ask_for_a_longer_pause():
    drive = opened()
    drive.tuner.refuse(drive.now, others=4, pause=60.0)
    assert max(drive.run(each(MB), 59.0)) == 4
    assert max(drive.run(each(MB), 30.0)) > 4


def test_shorter_pause_does_not_end_a_longer_one():
    drive = opened()
    drive.tuner.refuse(drive.now, others=4, pause=60.0)
    drive.tuner.refuse(drive.now, others=4, pause=1.0)
    assert max(drive.run(each(MB), 59.0)) == 4


@pytest.mark.parametrize("tuner", [Tuner(8, 0.0), Tuner.fixed(8, 0.0)])
def test_one_connection_always_remains(tuner):
    tuner.refuse(0.0, others=0)
    assert tuner.target == 1


@pytest.mark.parametrize("moves", [each(MB), shared(MB), each(0)])
def test_fixed_number_is_used_from_the_first_second(moves):
    drive = Drive(Tuner.fixed(8, 0.0), busy=0.9)
    assert drive.tuner.target == 8
    assert set(drive.run(moves, 60.0)) == {8}


def test_fixed_number_is_tried_again_after_pauses_that_double_up_to_a_limit():
    drive = Drive(Tuner.fixed(8, 0.0))
    pauses = []
    for _ in range(7):
        drive.tuner.refuse(drive.now, others=7)
        pauses.append(round(drive.until(each(MB), 8)))
    assert pauses == [5, 10, 20, 40, 80, 80, 80]


def test_fixed_number_stays_lower_as_long_as_the_store_asks_for():
    drive = Drive(Tuner.fixed(8, 0.0))
    drive.tuner.refuse(drive.now, others=3, pause=60.0)
    assert set(drive.run(each(MB), 59.9)) == {3}
    assert drive.run(each(MB), 0.2)[-1] == 8


def test_tuner_that_stays_at_one_never_grows():
    drive = opened()
    drive.tuner.stay_at_one()
    assert drive.tuner.target == 1
    assert set(drive.run(each(MB), 120.0)) == {1}


def test_lower_limit_binds_with_the_next_observation():
    drive = opened()
    drive.tuner.most = 5
    assert max(drive.run(each(MB), 60.0)) == 5
    assert drive.tuner.target == 5


def test_limit_that_is_lowered_during_a_trial_outlasts_it():
    drive = opened()
    drive.until(each(MB), 12)
    drive.tuner.most = 14
    assert max(drive.run(each(MB), 30.0)) == 14


def test_higher_limit_is_used_where_the_lower_one_was():
    drive = Drive(Tuner(4, 0.0))
    assert max(drive.run(each(MB), 30.0)) == 4
    drive.tuner.most = 16
    assert drive.until(each(MB), 16) < 5.0


def test_higher_limit_is_no_reason_for_more_where_one_fills_the_link():
    drive = Drive(Tuner(4, 0.0))
    drive.run(shared(MB), 30.0)
    drive.tuner.most = 16
    assert max(drive.run(shared(MB), 60.0)) <= FEWEST + 1


def test_limit_of_one_is_kept_until_it_is_raised():
    drive = Drive(Tuner(1, 0.0))
    assert set(drive.run(each(MB), 60.0)) == {1}
    drive.tuner.most = 16
    assert drive.until(each(MB), 16) < 5.0


def test_bytes_that_were_moved_before_say_nothing():
    drive = Drive(Tuner(16, 0.0, moved=500 * MB), latency=0.3)
    drive.carried = drive.moved = 500 * MB
    assert set(drive.run(each(0), 10.0)) == {1}
    assert drive.until(each(MB), 16) < 5.0
