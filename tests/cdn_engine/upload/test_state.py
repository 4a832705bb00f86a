"""Tests what an upload reports: what has arrived, where the system tells that."""

import socket
import sys

import pytest

from cdn_engine.upload.state import State
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.sockets import PlainSocket


class Connection(Attempt):
    """A connection of which the system has taken so many bytes that have not arrived."""

    buffered = 0

    def unacknowledged(self):
        return self.buffered


@pytest.fixture
def counts():
    return []


@pytest.fixture
def state(counts):
    return State("bucket/key", Deadline(None), callback=counts.append)


def test_bytes_count_when_they_have_arrived(state, counts):
    connection = Connection()
    with state.running(connection):
        for connection.buffered in (800, 500, 0):
            if not state.counted:
                state.count_sent(1000, 0.0)
            state.report()
    assert counts == [200, 300, 500]


def test_buffer_that_fills_takes_nothing_back(state, counts):
    connection = Connection()
    with state.running(connection):
        state.count_sent(1000, 0.0)
        state.report()
        connection.buffered = 900  # taken, and not counted yet
        state.report()
        state.count_sent(900, 0.0)
        state.report()
    state.report()
    assert counts == [1000, 900]


def test_bytes_that_have_to_be_sent_again_are_taken_back(state, counts):
    connection = Connection()
    with state.running(connection):
        connection.buffered = 300
        state.count_sent(1000, 0.0)
        state.report()
    state.take_back(1000)
    state.report()
    assert counts == [700, -700]


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_system_tells_what_has_not_arrived():
    attempt = Attempt()
    assert attempt.unacknowledged() == 0
    with socket.create_server(("127.0.0.1", 0)) as listener, PlainSocket() as connection:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(listener.getsockname())
        attempt.use(connection)
        connection.setblocking(False)
        sent = connection.send(bytes(1 << 20))
        accepted, _ = listener.accept()
        with accepted:
            left = attempt.unacknowledged()
            assert 0 < left <= sent
            accepted.settimeout(60)
            while attempt.unacknowledged():
                accepted.recv(1 << 16)
    assert attempt.unacknowledged() == 0
