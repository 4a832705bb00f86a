"""The limit of a process for all its transfers: it is kept, and what is slow because of it is not stalled."""

import concurrent.futures
import time

import pytest
from local_store import READER, WRITER
from objects import payload_of, put

from cdn_engine.download.settings import Settings
from cdn_engine.download.state import State
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.pace import Pace
from cdn_manager import CDNCredentials, CDNManager, DeadlineExceededError, limit_rate

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(autouse=True)
def no_limit_afterwards():
    yield
    limit_rate(None)


@pytest.fixture
def limit():
    """A function that sets a limit, and returns one that tells how long ago that was."""

    def begin(rate):
        limit_rate(rate)
        began = time.monotonic()
        return lambda: time.monotonic() - began

    return begin


def manager_at(url, **options):
    return CDNManager(CDNCredentials(url, *READER, *WRITER), **options)


def test_limit_holds_on_a_real_store_for_both_directions_together(manager, admin, bucket, limit):
    put(admin, bucket, "down", payload_of(9_000_000))
    passed = limit(9_000_000)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        upload = pool.submit(manager.store, bucket, "up", payload_of(9_000_000))
        moved = manager.fetch(bucket, "down").transferred + upload.result().transferred
    assert moved >= 18_000_000
    assert passed() > 1.6


def test_limited_download_opens_no_connections_that_cannot_help(monkeypatch, limit):
    state, seen = State(Settings(), None, Deadline(None)), []
    monkeypatch.setattr(state.tuner, "observe", lambda *_, busy, **others: seen.append(busy))
    state.steer(time.monotonic(), None)
    limit(1000)
    state.pace.keep(10_000, lambda _: None)  # the next ten seconds are used up
    state.steer(time.monotonic(), None)
    state.leave_budget()
    assert seen[0] < 0.5
    assert seen[1] == 1  # the tuner takes it for a core that has no time left, and opens none


@pytest.mark.portable
def test_limit_holds_for_small_objects_in_both_directions_together(moto_manager, moto_admin, moto_bucket, limit):
    for number in range(4):
        moto_admin.put_object(Bucket=moto_bucket, Key=f"down-{number}", Body=bytes(50_000))
    passed = limit(400_000)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        moves = [pool.submit(moto_manager.fetch, moto_bucket, f"down-{number}") for number in range(4)]
        moves += [pool.submit(moto_manager.store, moto_bucket, f"up-{number}", bytes(50_000)) for number in range(4)]
        results = [move.result() for move in moves]
    assert sum(result.transferred for result in results) == 400_000
    assert passed() > 0.7


def test_what_the_first_look_at_a_slow_object_has_read_counts_once(
    moto_manager, moto_admin, moto_bucket, limit, monkeypatch
):
    counted, moved, keep = [], [], Pace.keep
    monkeypatch.setattr(Pace, "keep", lambda pace, amount, wait: counted.append(amount) or keep(pace, amount, wait))
    moto_admin.put_object(Bucket=moto_bucket, Key="object", Body=bytes(100_000))
    limit(100_000)
    moto_manager.fetch(moto_bucket, "object", progress=lambda count: moved.append(count) if count else None)
    assert sum(counted) == 100_000
    assert len(moved) > 5  # and not all of it at the end


def test_deadline_passes_although_the_limit_would_last_for_minutes(moto_url, moto_admin, moto_bucket, limit):
    moto_admin.put_object(Bucket=moto_bucket, Key="object", Body=bytes(100_000))
    passed = limit(1000)
    with manager_at(moto_url, deadline=0.3) as manager:
        with pytest.raises(DeadlineExceededError):
            manager.fetch(moto_bucket, "object")
        with pytest.raises(DeadlineExceededError):
            manager.store(moto_bucket, "up", bytes(100_000))
    assert passed() < 20


def test_exception_in_the_progress_ends_a_limited_upload_at_once(moto_manager, moto_bucket, limit):
    def stop(count):
        raise KeyboardInterrupt

    passed = limit(1000)
    with pytest.raises(KeyboardInterrupt):
        moto_manager.store(moto_bucket, "up", bytes(100_000), progress=stop)
    assert passed() < 10
