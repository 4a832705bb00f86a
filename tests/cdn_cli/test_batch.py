"""Tests the batch: many transfers at once, failures among them, and signals."""

import _thread
import signal
import threading
import time

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from cdn_cli.batch import Batch
from cdn_cli.progress import Display
from cdn_cli.transfer import Transfer

pytestmark = pytest.mark.portable


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A batch that waits for all its transfers, so that a lost one becomes a hang."""
    monkeypatch.setattr("cdn_cli.batch._PATIENCE", 1000)


def silent_batch(move, count, jobs):
    return Batch(move, [Transfer(str(number), "path", None) for number in range(count)], jobs, Display())


def test_as_many_transfers_run_at_once_as_there_are_jobs():
    all_three = threading.Barrier(3, timeout=60)
    running = 0
    most = 0
    lock = threading.Lock()

    def move(transfer, progress):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_three.wait()
        time.sleep(0.001)  # a fourth would start here
        with lock:
            running -= 1

    batch = silent_batch(move, 30, jobs=3)
    batch.run()
    assert len(batch.done) == 30
    assert most == 3


def test_failed_transfer_does_not_affect_the_others():
    def move(transfer, progress):
        if transfer.key == "3":
            raise OSError("disk full")

    batch = silent_batch(move, 10, jobs=2)
    batch.run()
    assert len(batch.done) == 9
    assert [transfer.key for transfer in batch.failed] == ["3"]


@pytest.mark.parametrize(
    "error",
    [EndpointConnectionError(endpoint_url="x"), HTTPClientError(error="no CA bundle")],
    ids=["no connection", "no CA bundle"],
)
def test_unreachable_store_is_not_tried_for_every_file(error):
    def move(transfer, progress):
        time.sleep(0.005)  # less than any real attempt takes
        raise error

    batch = silent_batch(move, 1000, jobs=2)
    batch.run()
    assert len(batch.failed) == len(batch.begun) < 500
    assert batch.running == 0


@pytest.mark.parametrize("sign", ["success", "bytes", "refusal"])
def test_store_that_answered_once_is_tried_for_every_file(sign):
    def move(transfer, progress):
        if transfer.key != "0":
            raise EndpointConnectionError(endpoint_url="x")
        if sign == "bytes":
            progress(1)
        if sign == "refusal":
            raise ClientError({}, "GetObject")
        if sign != "success":
            raise EndpointConnectionError(endpoint_url="x")

    batch = silent_batch(move, 10, jobs=1)
    batch.run()
    assert not batch.unreachable
    assert len(batch.begun) == 10


def test_bytes_kept_from_an_earlier_download_do_not_show_that_the_store_answers():
    def move(transfer, progress):
        batch.expect(transfer, 1000, 500)
        progress(500)
        raise EndpointConnectionError(endpoint_url="x")

    batch = silent_batch(move, 10, jobs=1)
    batch.run()
    assert batch.unreachable


# Output that fails


def test_batch_stops_when_its_display_fails():
    shown = 0

    class Broken(Display):
        def finish(self, *_):
            nonlocal shown
            shown += 1
            raise BrokenPipeError

    def move(transfer, progress):
        while transfer.key != "0":
            progress(1)
            time.sleep(0.001)

    batch = silent_batch(move, 1000, jobs=2)
    batch.display = Broken()
    batch.run()
    assert isinstance(batch.error, BrokenPipeError)
    assert shown == 1
    assert batch.running == 0
    assert len(batch.begun) < 500


def test_display_that_fails_during_an_interruption_does_not_stop_the_cleanup():
    class Broken(Display):
        def finish(self, *_):
            if batch.signal is not None:
                raise BrokenPipeError
            signal.raise_signal(signal.SIGINT)

    both = threading.Barrier(2, timeout=60)
    with silent_batch(lambda *_: both.wait(), 2, jobs=2) as batch:
        batch.display = Broken()
        batch.run()
    assert batch.signal == signal.SIGINT
    assert isinstance(batch.error, BrokenPipeError)
    assert batch.running == 0


# Signals


def test_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with silent_batch(lambda *_: signal.raise_signal(signal.SIGTERM), 1, jobs=1) as batch:
            batch.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert batch.signal is None
    assert len(batch.done) == 1


@pytest.mark.parametrize("endless", [False, True], ids=["between transfers", "during transfers"])
def test_ctrl_c_ends_a_batch_without_losing_a_transfer(endless):
    def move(transfer, progress):
        if transfer.key == "50":
            _thread.interrupt_main()
        while True:
            progress(1)
            time.sleep(0.001)
            if not endless or int(transfer.key) < 50:
                break

    with silent_batch(move, 1000, jobs=4) as batch:
        batch.run()
    assert batch.signal == signal.SIGINT
    assert batch.running == 0
    assert 50 <= len(batch.done) < 1000
    assert not batch.failed
