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


def test_busy_store_gets_fewer_connections_and_a_pause():
    drive = Drive()
    drive.run(per_connection(MB), 3.0)
    drive.tuner.back_off(drive.now, active=8)
    assert drive.tuner.target == 7
    assert set(drive.run(per_connection(MB), 4.0)) == {7}
    assert 8 in drive.run(per_connection(MB), 3.0)


def test_back_off_leaves_one_connection():
    tuner = Tuner(8, 0.0)
    tuner.back_off(0.0, active=1)
    assert tuner.target == 1


def test_tuner_that_stays_at_one_never_grows():
    drive = Drive()
    drive.tuner.stay_at_one()
    assert set(drive.run(per_connection(MB), 30.0)) == {1}
