"""The bandwidth limits: of a transfer, and of the process."""

import os
import threading
import time

import pytest

from cdn_engine.wire.pace import Bucket, Pace
from cdn_manager import limit_rate

pytestmark = pytest.mark.portable


@pytest.fixture(autouse=True)
def no_limit_afterwards():
    yield
    limit_rate(None)


def passed(bucket, connections, seconds, late=0.0, demand=1e18):
    """Return how many bytes pass a bucket, whose clock is here, by the time.

    Args:
        connections: How many take turns.
        late: Seconds that it wakes up too late.
        demand: Bytes a second that each could move at most.
    """
    awake = [0.0] * connections
    total = 0
    while (now := min(awake)) < seconds:
        total += bucket.piece
        pause = bucket.take(bucket.piece, now)
        moving = bucket.piece / demand
        awake[awake.index(now)] = now + moving + (max(0.0, pause - moving) + late if pause > moving else 0.0)
    return total


@pytest.mark.parametrize(("rate", "connections"), [(20_000, 1), (20_000, 4), (2_000_000, 16), (10**9, 16)])
@pytest.mark.parametrize("late", [0.0, 0.03])
def test_rate_is_exact_within_four_percent_over_ten_seconds(rate, connections, late):
    assert passed(Bucket(rate, 0.0), connections, 10, late=late) == pytest.approx(10 * rate, rel=0.04)


def test_no_connection_waits_for_long_at_20_kb_per_second():
    bucket = Bucket(20_000, 0.0)
    assert max(bucket.take(bucket.piece, 0.0) for _ in range(8)) <= 0.5


def test_what_was_not_used_for_a_long_time_does_not_come_at_once():
    bucket = Bucket(1_000_000, 0.0)
    assert passed(bucket, 1, 1) == pytest.approx(1_000_000, rel=0.15)
    bucket.take(0, 3600)
    assert bucket.take(1_000_000, 3600) >= 0.7


@pytest.mark.parametrize(("demand", "full"), [(400_000, False), (700_000, False), (1_000_000, True), (9_000_000, True)])
def test_more_connections_cannot_help_once_the_rate_is_used_up(demand, full):
    bucket = Bucket(1_000_000, 0.0)
    passed(bucket, 1, 5, demand=demand)
    now = 5 + bucket.piece / min(demand, 1_000_000)
    assert bucket.is_full(now) == full


def test_without_a_limit_nothing_waits():
    pace = Pace()
    assert not pace.is_limited
    assert not pace.is_full
    assert pace.piece > 1 << 40
    pace.keep(1 << 40, lambda _: pytest.fail("waited"))


def test_what_exceeds_the_limit_of_a_transfer_has_to_wait():
    waits = []
    pace = Pace(1000)
    assert pace.is_limited
    for _ in range(3):
        pace.keep(10_000, waits.append)
    assert waits == pytest.approx([10, 20, 30], abs=1)
    assert pace.is_full


def test_limit_of_the_process_holds_for_every_transfer_together():
    waits = []
    first, second = Pace(), Pace()
    limit_rate(10_000)
    assert first.piece == second.piece == 1024
    first.keep(10_000, waits.append)
    second.keep(10_000, waits.append)
    assert waits == pytest.approx([1, 2], abs=0.5)


def test_lower_one_of_two_limits_counts():
    waits = []
    limit_rate(10**9)
    pace = Pace(1000)
    assert pace.piece == 1024
    pace.keep(2000, waits.append)
    limit_rate(2000)
    Pace(10**9).keep(20_000, waits.append)
    assert waits == pytest.approx([2, 10], abs=0.5)


def test_limit_can_be_lifted():
    pace = Pace()
    limit_rate(1000)
    limit_rate(None)
    pace.keep(1 << 40, lambda _: pytest.fail("waited"))


@pytest.mark.parametrize("rate", [0, -1, 2, 999.9, float("nan")])
def test_limit_that_is_a_forgotten_unit_is_refused(rate):
    with pytest.raises(ValueError, match="at least 1000"):
        limit_rate(rate)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_infinite_limit_is_none():
    limit_rate(float("inf"))
    Pace().keep(1 << 40, lambda _: pytest.fail("it has to wait"))


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_child_of_a_fork_has_the_same_limit_for_itself():
    limit_rate(10_000)
    Pace().keep(1_000_000, lambda _: None)  # the parent has used up the next 100 seconds
    taking, done = threading.Event(), threading.Event()

    def hold():
        import cdn_engine.wire.pace as module

        with module._of_process._lock:
            taking.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taking.wait()
    child = os.fork()
    if not child:
        waits = []
        Pace().keep(10_000, waits.append)
        os._exit(0 if waits and 0.5 < waits[0] < 2 else 1)
    ends = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < ends:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    done.set()
    holder.join()
    assert ended == (child, 0)
