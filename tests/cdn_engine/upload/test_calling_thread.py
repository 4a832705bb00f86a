"""Uploads in one request, which the calling thread makes itself: it reports and can be ended at every stage."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time

import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from local_store import READER
from payloads import PART, size_id
from scripted_server import answering, dripping, stalling

from cdn_engine.upload.body import Body
from cdn_engine.upload.source import MemorySource
from cdn_engine.upload.state import Over, State
from cdn_engine.wire.deadline import Deadline
from cdn_manager import DeadlineExceededError

pytestmark = pytest.mark.portable

PATIENT = Config(connect_timeout=600, read_timeout=600)  # nothing is given up by itself
NOT_YET = answering(503, "SlowDown", [("Retry-After", "60")])
SOON = 15.0  # seconds; what is waited for here takes one or two

# What the one request waits for, and what the store does then.
STAGES = {
    "sending": (dripping(), PART), "sending-nothing": (stalling(after=1), PART), "answer": (stalling(after=1), 1),
    "pause": (NOT_YET, 1),
}  # fmt: skip


@pytest.fixture
def full():
    """The URL of a store that has no room for another connection: connecting takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as opened:
        for _ in range(4):  # as many as the system queues
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(params=["connecting", "looking", *STAGES])
def waiting(request, server, full, publisher_at):
    """A function that uploads, and waits at one stage: ``waiting(progress=..., deadline=...)``."""

    def store(progress=None, deadline=None):
        action, size = STAGES.get(request.param, (None, 1))
        server.fault("PutObject", *[action] * 9)
        server.fault("HEAD", stalling())
        url = full if request.param == "connecting" else server.url
        reader, overwrite = (READER, "changed") if request.param == "looking" else (("", ""), True)
        publisher = publisher_at(url, reader, config=PATIENT, deadline=deadline)
        began = time.monotonic()
        try:
            publisher.store("bucket", "key", bytes(size), progress, overwrite)
        finally:
            assert time.monotonic() - began < SOON

    return store


class Ended(Exception):
    """Raised by ``progress``."""


def test_progress_is_called_and_can_end_the_upload_at_every_stage(waiting):
    counts, threads = [], set()

    def progress(count):
        counts.append(count)
        threads.add(threading.current_thread())
        if len(counts) == 4:
            raise Ended

    with pytest.raises(Ended):
        waiting(progress)
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize(
    "error", [TimeoutError("mine"), ConnectionClosedError(endpoint_url="mine")], ids=lambda error: type(error).__name__
)
def test_exception_of_progress_is_not_taken_for_one_of_the_network(waiting, error):
    def progress(count):
        counts.append(count)
        raise error

    counts = []
    with pytest.raises(type(error), match="mine") as raised:
        waiting(progress)
    assert raised.value is error
    assert len(counts) == 1


def test_deadline_ends_the_upload_at_every_stage(waiting):
    with pytest.raises(DeadlineExceededError, match="bucket/key: "):
        waiting(deadline=1.0)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot press Ctrl-C for itself")
def test_ctrl_c_ends_the_upload_at_every_stage(waiting):
    timers = []

    def press_soon(count):
        if not timers:
            timers.append(threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)))
            timers[0].start()

    with pytest.raises(KeyboardInterrupt):
        waiting(press_soon)
    timers[0].join()


def body_of(state):
    """Return the body of a request that the calling thread makes."""
    state.in_calling_thread = True
    return Body(MemorySource(memoryview(bytes(PART))), 0, PART, state)


def test_progress_is_called_while_bytes_flow():
    counts = []
    body = body_of(State("bucket/key", Deadline(None), callback=counts.append))
    for _ in body.pieces():
        assert sum(counts) == body.sent
    assert len(counts) > 10


def test_deadline_ends_an_upload_whose_bytes_flow():
    state = State("bucket/key", Deadline(0.0))
    body = body_of(state)
    with pytest.raises(Over):
        list(body.pieces())
    assert isinstance(state.ended_by, DeadlineExceededError)
    assert body.sent == 0


@pytest.mark.parametrize("size", [0, 1, PART], ids=size_id)
def test_no_thread_is_started(server, publisher, monkeypatch, size):
    started = []
    start = threading.Thread.start

    def note(thread):
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note)
    publisher.store("bucket", "key", bytes(size))
    assert [name for name in started if "_accept" not in name and "_serve" not in name] == []


@pytest.mark.parametrize("size", [0, 1, PART], ids=size_id)
def test_payload_that_is_not_large_is_one_request(server, publisher, folder, size):
    (folder / "payload").write_bytes(bytes(size))
    publisher.store("bucket", "key", bytes(size))
    publisher.store("bucket", "key", folder / "payload")
    assert server.operations == ["PutObject"] * 2


def test_progress_can_make_requests_of_its_own(server, publisher, publisher_at):
    other = publisher_at(server.url)
    done = []

    def progress(count):
        if not done:
            done.append(other.store("bucket", "other", b"from the callback"))
            other.upload_client.put_object(Bucket="bucket", Key="third", Body=b"by boto3")
            released.set()

    def wait(exchange):
        released.wait(SOON)
        exchange.answer_as_usual()

    released = threading.Event()
    server.fault("PutObject", wait)
    publisher.store("bucket", "key", b"payload", progress=progress)
    assert {bytes(request.body) for request in server.requests} == {b"payload", b"from the callback", b"by boto3"}
