"""Ctrl-C during an upload."""

import os
import signal
import sys
import threading
import time

import pytest
from boto3.s3.transfer import TransferConfig
from payloads import PART
from scripted_server import answering, dripping

pytestmark = pytest.mark.portable

LARGE = 32 << 20  # bytes; the dripping server takes half a minute for them


@pytest.fixture
def press_ctrl_c():
    """An action: press Ctrl-C in the middle of the body, note the time in ``at``, and take the rest slowly."""
    if sys.platform == "win32":
        pytest.skip("a process cannot press Ctrl-C for itself")

    def act(exchange):
        for _ in exchange.read_body(100_000):
            pass
        act.at = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        dripping()(exchange)

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
    server.fault("CreateMultipartUpload", press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(2 * PART))
    (line,) = log_lines()
    assert "multipart upload of 'bucket'/'key': an unfinished upload may remain" in line


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
    server.fault("AbortMultipartUpload", press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", bytes(2 * PART))
    assert any("the unfinished multipart upload 'id' of 'bucket'/'key' remains" in line for line in log_lines())
