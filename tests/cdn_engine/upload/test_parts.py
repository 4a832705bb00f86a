"""Which part is sent next, by which worker."""

import math
import threading
import time

import pytest
from payloads import payload_of

from cdn_engine.upload.layout import Layout
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.source import MemorySource
from cdn_engine.upload.state import Over, State
from cdn_engine.wire.deadline import Deadline

SIZE = 1000  # bytes of a part


@pytest.fixture
def state():
    return State("bucket/key", Deadline(None))


@pytest.fixture
def parts_of(state):
    """A function that returns the parts of a payload."""

    def make(payload):
        return Parts(MemorySource(memoryview(payload)), Layout(SIZE, -(-len(payload) // SIZE), 4), (), state)

    return make


def content(sending):
    return b"".join(sending.body.pieces())


def test_part_that_failed_is_the_next_one_with_its_content(parts_of):
    payload = payload_of(4 * SIZE)
    parts = parts_of(payload)
    first, second = parts.take(), parts.take()
    parts.give_back(first)
    again, third = parts.take(), parts.take()
    assert [sending.number for sending in (again, third)] == [1, 3]
    assert b"".join(content(sending) for sending in (again, second, third)) == payload[:3000]


def send(sending):
    for _ in sending.body.pieces():
        pass


def cut_after(state, parts, seconds, now=0.0):
    """Tell whether the parts cut something if, for so many seconds, only others have moved."""
    state.moved_at += seconds
    with state.lock:
        before = [sending.is_cut for sending in parts._sending]
        parts.cut_silent(now)
        return [sending.is_cut for sending in parts._sending] != before


def test_connection_that_is_silent_within_its_body_while_others_move_is_cut(parts_of, state):
    parts = parts_of(payload_of(2 * SIZE))
    silent = parts.take()
    assert not cut_after(state, parts, 2)
    assert cut_after(state, parts, 2)
    assert silent.is_cut
    assert not cut_after(state, parts, 1000)  # it is cut once


def test_answer_is_waited_for_until_it_is_known_how_long_others_take(parts_of, state):
    parts = parts_of(payload_of(3 * SIZE))
    silent, other = parts.take(), parts.take()
    send(silent), send(other)
    assert not cut_after(state, parts, 1000)
    other.began -= 100
    parts.finish(other, "etag")
    state.moved_at -= 1000
    assert not cut_after(state, parts, 190)
    assert cut_after(state, parts, 20)


def test_connections_are_not_cut_when_all_are_silent(parts_of, state):
    parts = parts_of(payload_of(3 * SIZE))
    parts.take(), parts.take()
    for sending in parts._sending:
        sending.body.moved_at -= 1000
    state.moved_at -= 1000
    assert not cut_after(state, parts, 0)


def test_silent_connection_is_cut_when_another_one_has_nothing_to_do(parts_of, state):
    parts = parts_of(payload_of(SIZE))
    silent = parts.take()
    rivals = []
    rival = threading.Thread(target=lambda: rivals.append(parts.take()))
    rival.start()
    while not parts._idle:
        time.sleep(0.001)
    assert not cut_after(state, parts, 0, silent.body.moved_at + 2)
    assert cut_after(state, parts, 0, silent.body.moved_at + 4)
    parts.give_back(silent)  # its request was cut
    rival.join()
    assert rivals[0].number == silent.number
    assert not parts._idle


def test_part_that_was_cut_is_given_more_time_each_time(parts_of, state):
    parts = parts_of(payload_of(2 * SIZE))
    for patience in (3, 6, 12):
        parts.take()
        state.moved_at = parts._sending[0].body.moved_at
        assert not cut_after(state, parts, patience - 1)
        assert cut_after(state, parts, 2)
        parts.give_back(parts._sending[0])


def test_part_that_was_cut_but_arrives_after_all_is_not_sent_again(parts_of, state):
    parts = parts_of(payload_of(SIZE))
    silent = parts.take()
    assert cut_after(state, parts, 6)
    parts.finish(silent, "late")
    assert parts.take() is None
    assert parts.listing() == [{"PartNumber": 1, "ETag": "late"}]


def test_body_that_is_told_to_wait_is_not_silent(parts_of, state):
    parts = parts_of(payload_of(2 * SIZE))
    waiting = parts.take()
    with state.lock:
        state.pause([waiting.body])
    thread = threading.Thread(target=send, args=(waiting,))
    thread.start()
    while waiting.body.moved_at != math.inf:
        time.sleep(0.001)
    assert not cut_after(state, parts, 1000)
    assert waiting.body.sent == 0
    with state.lock:
        state.pause([])
    thread.join()
    assert waiting.body.sent == SIZE


def test_body_does_not_wait_for_so_long_that_its_connection_breaks(parts_of, state, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.state._LONGEST_PAUSE", 0.001)
    waiting = parts_of(payload_of(SIZE)).take()
    with state.lock:
        state.pause([waiting.body])
    send(waiting)
    assert waiting.body.sent == SIZE
    with state.lock:
        state.pause([waiting.body])
    assert not state.paused  # from then on it goes on


def test_end_of_the_upload_ends_a_pause(parts_of, state, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.state._LONGEST_PAUSE", 600)
    waiting = parts_of(payload_of(SIZE)).take()
    with state.lock:
        state.pause([waiting.body])
    state.end(ValueError())
    with pytest.raises(Over):
        send(waiting)


def test_bodies_that_move_come_before_those_that_do_not(parts_of, state):
    parts = parts_of(payload_of(4 * SIZE))
    sendings = [parts.take() for _ in range(3)]
    sendings[0].body.moved_at -= 2
    sendings[1].body.moved_at = math.inf  # it waits already
    with state.lock:
        assert parts.bodies() == [sendings[index].body for index in (1, 2, 0)]
