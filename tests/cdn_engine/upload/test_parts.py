"""Which part is sent next, by which worker."""

import io

import pytest
from payloads import payload_of

from cdn_engine.upload.layout import Layout
from cdn_engine.upload.parts import Parts
from cdn_engine.upload.source import FileSource
from cdn_engine.upload.state import State
from cdn_engine.wire.deadline import Deadline

SIZE = 1000  # bytes of a part


@pytest.fixture
def state():
    return State("bucket/key", Deadline(None))


@pytest.fixture
def parts_of(state):
    """A function that returns the parts of a payload in a file."""

    def make(payload):
        source = FileSource(io.BytesIO(payload))
        for _ in source.blocks():
            pass
        return Parts(source, Layout(SIZE, -(-len(payload) // SIZE), 4), state)

    return make


@pytest.fixture
def impatient(monkeypatch):
    """Take over whatever has not moved since another part arrived."""
    monkeypatch.setattr("cdn_engine.upload.parts._SILENCE", -1e9)


def content(sending):
    return bytes(sending.body.read())


def test_part_that_failed_is_the_next_one_with_its_content(parts_of):
    payload = payload_of(4 * SIZE)
    parts = parts_of(payload)
    first, second = parts.take(), parts.take()
    parts.give_back(first)
    again, third = parts.take(), parts.take()
    assert [sending.number for sending in (again, third)] == [1, 3]
    assert b"".join(content(sending) for sending in (again, second, third)) == payload[:3000]


def test_there_are_never_more_buffers_than_workers(parts_of):
    parts = parts_of(payload_of(100 * SIZE))
    held, failed, buffers = [parts.take(), parts.take()], set(), set()
    while len(parts.arrived) < 98:
        sending = held.pop(0)
        buffers.add(id(sending.part.buffer.obj))
        if sending.number % 3 == 0 and sending.number not in failed:
            failed.add(sending.number)
            parts.give_back(sending)
        else:
            parts.finish(sending, "etag")
        held.append(parts.take())
    assert len(buffers) == 2


@pytest.mark.usefixtures("impatient")
def test_silent_part_is_taken_over_when_no_other_is_left(parts_of):
    parts = parts_of(payload_of(2 * SIZE))
    silent = parts.take()
    parts.finish(parts.take(), "etag")
    rival = parts.take()
    assert rival.number == silent.number
    parts.give_back(silent)  # its request was cut
    parts.finish(rival, "rival")
    assert parts.take() is None
    assert parts.listing()[0] == {"PartNumber": 1, "ETag": "rival"}


@pytest.mark.usefixtures("impatient")
def test_part_that_arrives_twice_is_counted_once(parts_of, state):
    parts = parts_of(payload_of(2 * SIZE))
    silent = parts.take()
    parts.finish(parts.take(), "etag")
    rival = parts.take()
    for sending in (silent, rival):
        for _ in sending.body.pieces():
            pass
    counted = []
    parts.finish(silent, "first")
    parts.finish(rival, "second")
    state._callback = counted.append
    state.report()
    assert counted == [SIZE]
    assert parts.listing()[0]["ETag"] == "first"


@pytest.mark.usefixtures("impatient")
def test_part_is_not_sent_again_when_the_answer_to_its_silent_request_came_after_all(parts_of):
    parts = parts_of(payload_of(2 * SIZE))
    silent = parts.take()
    parts.finish(parts.take(), "etag")
    parts.give_back(parts.take())  # the rival fails
    parts.finish(silent, "late")
    assert parts.take() is None
    assert parts._returned == []
