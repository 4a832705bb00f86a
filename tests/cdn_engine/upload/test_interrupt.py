"""Ctrl-C during an upload."""

import os
import signal
import sys
import threading
import time

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from payloads import PART
from scripted_server import answering, dripping, stalling

from cdn_manager import DeadlineExceededError

pytestmark = pytest.mark.portable

PATIENT = Config(connect_timeout=60, read_timeout=60)  # nothing is given up by itself
LARGE = 32 << 20  # bytes; the dripping server takes half a minute for them


@pytest.fixture
def press_ctrl_c():
    """An action: press Ctrl-C in the middle of the body, note the time in ``at``, and take the rest slowly.

    Its attribute ``before_silence`` is another action: press Ctrl-C and never answer. ``press`` only presses.
    """
    if sys.platform == "win32":
        pytest.skip("a process cannot press Ctrl-C for itself")

    def press():
        act.at = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    def act(exchange):
        for _ in exchange.read_body(100_000):
            pass
        press()
        dripping()(exchange)

    def before_silence(exchange):
        press()
        stalling()(exchange)

    act.press, act.before_silence = press, before_silence
    return act


@pytest.mark.parametrize("parts", [1, 4], ids=["one-request", "four-parts"])
def test_ctrl_c_stops_an_upload_promptly_and_leaves_nothing_unfinished(
    server, publisher_at, press_ctrl_c, upload_threads, parts
):
    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, press_ctrl_c, *[dripping()] * 9)
    large_parts = TransferConfig(multipart_threshold=LARGE, multipart_chunksize=LARGE)
    publisher = publisher_at(server.url, transfer_config=large_parts)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(parts * LARGE))
    assert time.monotonic() - press_ctrl_c.at < 10
    assert upload_threads() == []
    assert "CompleteMultipartUpload" not in server.operations
    assert ("AbortMultipartUpload" in server.operations) == (parts > 1)


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "UploadPart"])
def test_ctrl_c_does_not_wait_for_an_answer(server, publisher_at, press_ctrl_c, upload_threads, operation):
    server.fault(operation, press_ctrl_c.before_silence, *[stalling()] * 9)
    publisher = publisher_at(server.url, config=PATIENT)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(1 if operation == "PutObject" else 2 * PART))
    assert time.monotonic() - press_ctrl_c.at < 10
    assert upload_threads() == []
    assert ("AbortMultipartUpload" in server.operations) == (operation == "UploadPart")


@pytest.mark.parametrize("size", [1, 2 * PART], ids=["one-request", "several-parts"])
def test_exception_in_progress_ends_an_upload_that_does_not_move(server, publisher_at, upload_threads, size):
    counts = []

    def progress(count):
        counts.append(count)
        if counts[-3:] == [0, 0, 0]:
            raise LookupError("the window is gone")

    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, *[stalling()] * 9)
    with pytest.raises(LookupError, match="the window is gone"):
        publisher_at(server.url, config=PATIENT, deadline=60.0).store("bucket", "key", bytes(size), progress=progress)
    assert upload_threads() == []
    assert ("AbortMultipartUpload" in server.operations) == (size > PART)


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "UploadPart"])
def test_deadline_ends_a_request_that_is_not_answered(server, publisher_at, upload_threads, operation):
    server.fault(operation, *[stalling()] * 9)
    publisher = publisher_at(server.url, config=PATIENT, deadline=1.0)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="bucket/key: "):
        publisher.store("bucket", "key", bytes(1 if operation == "PutObject" else 2 * PART))
    assert time.monotonic() - began < 15
    assert upload_threads() == []


@pytest.mark.parametrize("size", [1, 2 * PART], ids=["one-request", "several-parts"])
def test_ctrl_c_does_not_wait_until_the_next_attempt(server, publisher, press_ctrl_c, size):
    later = answering(503, "SlowDown", [("Retry-After", "60")])

    def press(exchange):
        later(exchange)
        threading.Timer(0.3, press_ctrl_c.press).start()

    for operation in ("PutObject", "UploadPart"):
        server.fault(operation, press, *[later] * 9)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(size))
    assert time.monotonic() - press_ctrl_c.at < 10


def test_ctrl_c_while_a_thread_is_being_started_leaves_no_thread(server, publisher, upload_threads, monkeypatch):
    start = threading.Thread.start

    def interrupted_start(thread):
        start(thread)
        if thread.name == "cdn-upload":
            raise KeyboardInterrupt

    server.fault("UploadPart", *[dripping()] * 9)
    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(4 * PART))
    assert upload_threads() == []


def test_ctrl_c_while_a_multipart_upload_begins_logs_that_one_may_remain(server, publisher, press_ctrl_c, log_lines):
    server.fault("CreateMultipartUpload", press_ctrl_c.before_silence)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(2 * PART))
    (line,) = log_lines()
    assert line.startswith("bucket/key: ")
    assert "an unfinished upload may remain" in line


@pytest.mark.skipif(sys.platform == "win32", reason="timers of POSIX")
def test_ctrl_c_stops_the_reading_of_a_large_file(server, publisher, folder, request):
    size = 4 << 30
    with open("payload", "wb") as file:
        file.truncate(size)
    before = signal.signal(signal.SIGPROF, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGPROF, before))
    with open("payload", "rb", buffering=0) as file:
        signal.setitimer(signal.ITIMER_PROF, 0.2)
        with pytest.raises(KeyboardInterrupt):
            publisher.store("bucket", "key", file)
        assert file.tell() < size // 2
    assert server.requests == []


def test_ctrl_c_during_the_abort_logs_the_upload_id(server, publisher, press_ctrl_c, log_lines):
    server.fault("UploadPart", *[answering(403)] * 2)
    server.fault("AbortMultipartUpload", press_ctrl_c.before_silence)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(2 * PART))
    assert any("bucket/key: the unfinished multipart upload 'id' remains" in line for line in log_lines())
