"""How many connections a download uses, on simulated links. The clock is an argument."""

import pytest

from cdn_engine.download.tuner import Tuner

pytestmark = pytest.mark.portable

STEP = 0.05  # seconds between two observations
MB = 1_000_000


class Drive:
    """Drives a tuner over a link, which delivers bytes a second for a number of connections."""

    def __init__(self, most=8):
        self.tuner = Tuner(most, 0.0)
        self.now = 0.0
        self.received = 0.0

    def run(self, link, seconds):
        """Return all targets of the next ``seconds``."""
        targets = []
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            self.received += link(self.tuner.target) * STEP
            self.tuner.observe(self.now, int(self.received), self.tuner.target)
            targets.append(self.tuner.target)
        return targets


def per_connection(rate):
    return lambda connections: rate * connections


def shared(rate):
    return lambda connections: rate


@pytest.mark.parametrize("rate", [0.2 * MB, 1 * MB, 10 * MB, 100 * MB])
def test_link_that_limits_each_connection_gets_all_of_them(rate):
    assert Drive().run(per_connection(rate), 3.0)[-1] == 8


@pytest.mark.parametrize("rate", [0.2 * MB, 1 * MB, 10 * MB, 100 * MB])
def test_link_that_one_connection_fills_keeps_one(rate):
    targets = Drive().run(shared(rate), 60.0)
    assert targets[-1] == 1
    assert sum(targets) / len(targets) < 1.1


def test_number_of_connections_never_exceeds_the_limit():
    assert max(Drive(most=5).run(per_connection(MB), 30.0)) == 5


def test_growth_that_does_not_pay_is_undone_and_tried_again_after_a_pause():
    targets = Drive().run(shared(MB), 12.0)
    grown = [index * STEP for index, target in enumerate(targets) if target == 2]
    assert 2 <= len(grown) < 12
    assert grown[-1] - grown[0] > 4.0


def test_no_connection_is_added_before_those_asked_for_deliver():
    tuner = Tuner(8, 0.0)
    for step in range(100):
        tuner.observe(step * STEP, step * MB, 0)
    assert tuner.target == 1


def test_refused_connection_is_tried_again_after_a_pause():
    drive = Drive()
    drive.run(per_connection(MB), 3.0)
    drive.tuner.refuse(drive.now, others=7)
    assert set(drive.run(per_connection(MB), 4.5)) == {7}
    assert 8 in drive.run(per_connection(MB), 3.0)


def refuse_and_measure(drive):
    """Refuse one of 8 connections. Return how long it takes until it is tried again."""
    drive.tuner.refuse(drive.now, others=7)
    refused_at = drive.now
    while drive.tuner.target < 8:
        drive.run(per_connection(MB), STEP)
    return drive.now - refused_at


def test_pause_doubles_with_each_refusal_up_to_a_limit():
    drive = Drive()
    drive.run(per_connection(MB), 3.0)
    pauses = [round(refuse_and_measure(drive)) for _ in range(7)]
    assert pauses == [5, 10, 20, 40, 80, 80, 80]


def test_connections_refused_together_cost_one_pause():
    drive = Drive()
    drive.run(per_connection(MB), 3.0)
    for others in range(7, 1, -1):
        drive.tuner.refuse(drive.now, others)
    assert drive.tuner.target == 2
    assert 4 in drive.run(per_connection(MB), 6.0)


def test_refusal_may_ask_for_a_longer_pause():
    drive = Drive()
    drive.run(per_connection(MB), 3.0)
    drive.tuner.refuse(drive.now, others=4, pause=60.0)
    assert set(drive.run(per_connection(MB), 59.0)) == {4}
    assert 8 in drive.run(per_connection(MB), 2.0)


def test_one_connection_always_remains():
    tuner = Tuner(8, 0.0)
    tuner.refuse(0.0, others=0)
    assert tuner.target == 1


def test_tuner_that_stays_at_one_never_grows():
    drive = Drive()
    drive.tuner.stay_at_one()
    assert set(drive.run(per_connection(MB), 30.0)) == {1}
