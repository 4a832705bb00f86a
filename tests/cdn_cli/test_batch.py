"""Tests the batch: many transfers at once, failures among them, and signals."""

import _thread
import signal
import threading
import time

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from cdn_cli.batch import Batch
from cdn_cli.direction import UPLOAD
from cdn_cli.progress import Display
from cdn_cli.transfer import Transfer
from cdn_engine.wire.tls import ca_bundle
from cdn_manager import CDNError

pytestmark = pytest.mark.portable


# A batch that waits for all its transfers, so that a lost one becomes a hang.
PATIENT = UPLOAD._replace(patience=1000)


def silent_batch(move, count, jobs):
    return Batch(move, [Transfer(str(number), "path", None) for number in range(count)], jobs, Display(), PATIENT)


@pytest.mark.parametrize("jobs", [3, 100])
def test_as_many_transfers_run_at_once_as_there_are_jobs(jobs):
    all_of_them = threading.Barrier(jobs, timeout=60)
    running = 0
    most = 0
    lock = threading.Lock()

    def move(transfer, progress):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_of_them.wait()
        time.sleep(0.001)  # a fourth would start here
        with lock:
            running -= 1

    batch = silent_batch(move, 3 * jobs, jobs)
    batch.run()
    assert len(batch.done) == 3 * jobs
    assert most == jobs


def test_more_threads_than_sixteen_are_not_started_while_the_process_is_busy(monkeypatch):
    monkeypatch.setattr("time.process_time", time.monotonic)  # a core is busy all the time
    threads = set()

    def move(transfer, progress):
        threads.add(threading.get_ident())
        time.sleep(0.005)  # all of them last for several looks

    silent_batch(move, 2000, jobs=100).run()
    assert len(threads) == 16


def test_failed_transfer_does_not_affect_the_others():
    def move(transfer, progress):
        if transfer.key == "3":
            raise OSError("disk full")

    batch = silent_batch(move, 10, jobs=2)
    batch.run()
    assert len(batch.done) == 9
    assert [transfer.key for transfer in batch.failed] == ["3"]


def test_transfer_that_has_ended_is_shown_while_others_run():
    shown = threading.Event()
    both = threading.Barrier(2, timeout=60)

    class Telling(Display):
        def finish(self, transfer, *_):
            if transfer.key == "0":
                shown.set()

    def move(transfer, progress):
        both.wait()
        return transfer.key == "0" or shown.wait(60)

    batch = silent_batch(move, 2, jobs=2)
    batch.display = Telling()
    batch.run()
    assert list(batch.done.values()) == [True, True]
    assert batch.error is None


def test_many_transfers_that_end_at_once_wake_the_main_thread_seldom():
    ticks = 0

    class Counting(Display):
        def tick(self):
            nonlocal ticks
            ticks += 1

    batch = silent_batch(lambda *_: None, 10_000, jobs=4)
    batch.display = Counting()
    batch.run()
    assert batch.error is None
    assert len(batch.done) == 10_000
    assert ticks < 1000  # ten a second, and one as each thread ends


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="x"), HTTPClientError(error="x"), CDNError("a SOCKS proxy"),
        FileNotFoundError(2, "no CA bundle", ca_bundle()[0]),
    ],
    ids=["no connection", "other failure", "no proxy", "no CA bundle"],
)  # fmt: skip
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
        progress(0)
        progress(500)
        raise EndpointConnectionError(endpoint_url="x")

    batch = silent_batch(move, 10, jobs=1)
    batch.run()
    assert batch.unreachable


def test_bytes_of_a_file_that_was_there_do_not_show_that_the_store_answers():
    def move(transfer, progress):
        progress.phase("comparing", 500, 500)
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


def test_progress_without_bytes_ends_a_transfer_after_ctrl_c():
    def move(transfer, progress):
        _thread.interrupt_main()
        while True:
            progress(0)
            time.sleep(0.001)

    with silent_batch(move, 1, jobs=1) as batch:
        batch.run()
    assert batch.running == 0
    assert not batch.failed


@pytest.fixture
def endless():
    """A transfer that does not end before the test does."""
    end = threading.Event()
    yield lambda *_: end.wait(60)
    end.set()


def test_batch_says_what_it_waits_for_after_a_signal(endless, capsys, monkeypatch):
    monkeypatch.setattr("cdn_cli.batch._SILENCE", 0.0)

    def move(*_):
        _thread.interrupt_main()
        endless()

    with silent_batch(move, 1, jobs=1) as batch:
        batch.direction = UPLOAD._replace(patience=0.5, waiting="the store")
        batch.run()
    assert batch.running == 1
    assert capsys.readouterr().err == "cdn-manager: waiting up to 0 s for the store; Ctrl-C leaves at once\n"


def test_second_ctrl_c_ends_the_wait_and_a_repeated_one_does_not(endless, monkeypatch):
    now, looks = 0.0, 0

    def monotonic():
        nonlocal looks
        looks += 1
        return now

    monkeypatch.setattr("cdn_cli.batch.time.monotonic", monotonic)

    def move(*_):
        nonlocal now
        press = signal.getsignal(signal.SIGINT)
        press(signal.SIGINT, None)
        now = 0.1
        press(signal.SIGINT, None)
        before = looks
        for _ in range(60_000):
            if looks >= before + 3:  # the batch still waits
                break
            time.sleep(0.001)
        now = 5.0
        press(signal.SIGINT, None)
        endless()

    with silent_batch(move, 1, jobs=1) as batch:
        batch.run()
    assert now == 5.0
    assert batch.running == 1


def test_no_progress_is_shown_after_ctrl_c(endless):
    ticks = 0

    class Pressing(Display):
        def tick(self):
            nonlocal ticks
            ticks += 1
            signal.raise_signal(signal.SIGINT)

    with silent_batch(endless, 1, jobs=1) as batch:
        batch.direction = UPLOAD._replace(patience=0.5)
        batch.display = Pressing()
        batch.run()
    assert ticks == 1
