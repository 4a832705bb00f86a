"""What the tuner is told of an upload."""

import threading
import time

import pytest

from cdn_engine.upload.gauge import Gauge
from cdn_engine.upload.layout import Layout
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.source import MemorySource
from cdn_engine.upload.state import State
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.pace import Pace
from cdn_engine.wire.session import MOST_UNSENT

pytestmark = pytest.mark.portable

SIZE = 4 * MOST_UNSENT  # of a part, in bytes


class Upload:
    """An upload of four parts whose bodies a test sends by hand. ``shown()`` is what a tuner would observe."""

    def __init__(self, latency=0.5):
        self.state = State("bucket/key", Deadline(None))
        self.parts = Parts(MemorySource(memoryview(bytes(4 * SIZE))), Layout(SIZE, 4, 4), (), self.state)
        self.gauge = Gauge(self.parts, self.state, 4 * SIZE, latency)

    def begin(self):
        sending = self.parts.take()
        return sending, sending.body.pieces()

    def shown(self, now=None):
        self.gauge.show(self, time.monotonic() if now is None else now)
        return self.observed

    def observe(self, now, moved, **others):
        self.observed = {"moved": moved, **others}


@pytest.fixture
def upload():
    return Upload()


def send(sending, pieces, amount):
    """Let the connection take at least this many bytes."""
    for _ in pieces:
        if sending.body.sent >= amount:
            return


def test_bytes_that_may_be_in_a_buffer_have_not_moved(upload):
    begun = [upload.begin() for _ in range(2)]
    send(*begun[0], MOST_UNSENT // 4)
    assert (upload.shown()["moved"], upload.shown()["left"], upload.shown()["working"]) == (0, 4 * SIZE, 0)
    send(*begun[0], 2 * MOST_UNSENT)
    sent = begun[0][0].body.sent
    assert upload.shown()["moved"] == sent - MOST_UNSENT
    assert upload.shown()["left"] == 4 * SIZE - upload.shown()["moved"]
    assert upload.shown()["working"] == 1


def test_all_of_a_part_has_moved_once_it_is_answered(upload):
    sending, pieces = upload.begin()
    send(sending, pieces, 2 * SIZE)
    assert upload.shown()["moved"] == SIZE - MOST_UNSENT
    upload.parts.finish(sending, "etag")
    assert (upload.shown()["moved"], upload.shown()["left"]) == (SIZE, 3 * SIZE)


def test_bytes_that_have_to_be_sent_again_are_left_although_they_have_moved(upload):
    sending, pieces = upload.begin()
    send(sending, pieces, 2 * SIZE)
    upload.state.take_back(sending.body.sent)
    upload.parts.give_back(sending)
    assert (upload.shown()["moved"], upload.shown()["left"]) == (SIZE, 4 * SIZE)


def test_bytes_never_come_back_whenever_the_tuner_looks(upload, monkeypatch):
    sending, pieces = upload.begin()
    count_sent, moved = upload.state.count_sent, []

    def look():
        if upload.state.lock.acquire(blocking=False):
            moved.append(upload.shown()["moved"])
            upload.state.lock.release()

    def look_from_another_thread():
        looking = threading.Thread(target=look)
        looking.start()
        looking.join()

    def count_while_others_look(*arguments):
        look_from_another_thread()
        now = count_sent(*arguments)
        look_from_another_thread()
        return now

    monkeypatch.setattr(upload.state, "count_sent", count_while_others_look)
    for _ in pieces:
        look()
    look()
    assert moved == sorted(moved)
    assert (moved[0], moved[-1], sending.body.sent) == (0, SIZE - MOST_UNSENT, SIZE)


def test_paused_connection_is_not_at_work(upload):
    sending, pieces = upload.begin()
    send(sending, pieces, 2 * MOST_UNSENT)
    with upload.state.lock:
        upload.state.pause([sending.body])
    assert upload.shown()["working"] == 0


def test_latency_is_that_of_the_quickest_answer(upload):
    assert upload.shown()["latency"] == 0.5
    sending, pieces = upload.begin()
    send(sending, pieces, 2 * SIZE)
    sending.body.moved_at -= 0.1
    upload.parts.finish(sending, "etag")
    assert 0.1 <= upload.shown()["latency"] <= 0.5


def test_gap_is_the_longest_time_for_a_piece_but_no_stall(upload):
    now = time.monotonic()
    upload.state.count_sent(1, now - 0.25)
    upload.state.count_sent(1, now)
    assert 0.25 <= upload.shown()["gap"] < 1.0
    upload.state.count_sent(1, now - 100)
    assert upload.shown()["gap"] == 1.0


def test_threads_that_send_all_the_time_are_busy_and_those_that_wait_are_not(upload, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.gauge._cores", lambda: 2)
    cpu = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: cpu[0])
    now = time.monotonic()
    for _ in range(3):  # more than there are cores
        upload.begin()

    def spend(seconds):
        cpu[0] += seconds
        upload.state.count_sent(0, now)

    spend(0.0)
    assert upload.shown(now + 1)["busy"] == 0.0
    spend(2.0)
    assert upload.shown(now + 2)["busy"] == pytest.approx(1.0)
    assert upload.shown(now + 2.1)["busy"] == pytest.approx(1.0)  # not measured again so soon
    spend(0.2)
    assert upload.shown(now + 3)["busy"] == pytest.approx(0.1)


def test_upload_whose_bandwidth_limit_is_used_up_opens_no_connections_that_cannot_help(upload):
    assert upload.shown()["busy"] < 0.5
    upload.state.pace = Pace(1000)
    upload.state.pace.keep(10_000, lambda _: None)  # the next ten seconds are used up
    assert upload.shown()["busy"] == 1  # the tuner takes it for a core that has no time left, and opens none
