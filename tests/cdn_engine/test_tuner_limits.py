"""What limits the number of connections: the store, the caller and the budget. The clock is an argument."""

import pytest
from drive import MB, Drive, each, opened, shared
from hypothesis import given, settings
from hypothesis import strategies as st

from cdn_engine.tuner import Tuner

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


def test_other_transfers_are_left_what_is_not_wanted():
    drive = opened()
    assert drive.tuner.wanted(64) == 64
    drive.until(shared(MB), FEWEST)
    drive.run(shared(MB), 2.0)
    assert drive.tuner.wanted(64) == 2 * FEWEST
    assert drive.tuner.wanted(3) == 3


def test_trial_of_fewer_leaves_nothing_to_other_transfers():
    """What is wanted back if it fails."""
    drive = opened()
    while drive.tuner.target > FEWEST:
        drive.step(shared(MB))
        assert drive.tuner.wanted(64) >= 16


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


def test_trial_in_which_nothing_follows_a_burst_is_no_reason_for_fewer():
    """Such as an outage of a radio link that begins and ends in the trial."""
    drive = opened()
    while drive.step(each(MB)) == 16:
        pass
    bursts = [step % 60 == 0 for step in range(300)]  # one observation in 3 s, which is longer than a measurement
    targets = [drive.step(each(MB if burst else 0)) for burst in bursts]
    assert targets[-1] == 16


EPISODES = st.lists(
    st.fixed_dictionaries({
        "event": st.sampled_from(["none", "none", "none", "refuse", "most", "one"]),
        "number": st.integers(0, 20),
        "observations": st.integers(1, 400),
        "seconds": st.sampled_from([0.05, 0.05, 0.05, 0.0, 1e-9, 3.0, 100.0]),  # between two of them
        "amount": st.sampled_from([0, 1, MB, MB, 64 * MB]),  # bytes of one arrival
        "many": st.integers(0, 17),  # over more connections, each observation sees bytes arrive;
        "every": st.sampled_from([1, 7, 50]),  # over no more than these, one of so many does
        "unanswered": st.integers(0, 3),
        "latency": st.sampled_from([0.0, 0.001, 0.04, 0.3, 10.0]),
        "gap": st.sampled_from([0.0, 0.0, 2.0]),
        "busy": st.sampled_from([0.0, 0.0, 1.0]),
    }),
    min_size=1,
    max_size=10,
)  # fmt: skip


def act(tuner, event, number, now):
    if event == "refuse":
        tuner.refuse(now, number)
    elif event == "most":
        tuner.most = max(1, number)
    elif event == "one":
        tuner.stay_at_one()


def gentle(most, now):
    return Tuner(most, now, part=5 << 20)


@pytest.mark.parametrize("make", [Tuner, Tuner.fixed, gentle])
@given(episodes=EPISODES, left=st.sampled_from([0, 10 * MB, 1 << 40]))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_target_is_within_its_limits_whatever_is_observed(make, episodes, left):
    now, moved = 0.0, 0
    tuner = make(16, now)
    for episode in episodes:
        act(tuner, episode["event"], episode["number"], now)
        for index in range(episode["observations"]):
            now += episode["seconds"]
            arrives = tuner.target > episode["many"] or index % episode["every"] == 0
            amount = episode["amount"] if arrives else 0
            moved, left = moved + amount, max(0, left - amount)
            tuner.observe(
                now, moved, left=left, working=max(0, tuner.target - episode["unanswered"]),
                latency=episode["latency"], gap=episode["gap"], busy=episode["busy"],
            )  # fmt: skip
            assert 1 <= tuner.target <= tuner.most
