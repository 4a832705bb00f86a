"""Deadlines: a download ends in time, says what went wrong, and keeps what has arrived."""

import contextlib
import socket
import time

import fault_proxy as faults
import pytest
from botocore.config import Config
from local_store import READER
from objects import PART, SAMPLE_SIZE

from cdn_manager import CDNCredentials, CDNManager, DeadlineExceededError

# Nothing can be downloaded from a store that always answers like this.
HOPELESS = {
    "reset": lambda: faults.reset_after(1000, times=None),
    "silence": lambda: faults.silent_after(1000, times=None),
    "trickle": lambda: faults.trickle_after(1000, times=None),
    "truncated body": lambda: faults.truncated_after(1000, times=None),
    "wrong Content-Range": lambda: faults.wrong_content_range(4096, times=None),
    "no Content-Range": lambda: faults.no_content_range(times=None),
    "503": lambda: faults.refuses(503, code="SlowDown", times=None),
    "no answer": lambda: faults.Fault(answer=lambda request: request.wait_until_gone() or b"", close=True, times=None),
}


@pytest.mark.parametrize("fault", HOPELESS)
def test_hopeless_download_ends_at_its_deadline(fault, link, connect, samples, folder):
    link.inject(HOPELESS[fault]())
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        connect(deadline=1.5).fetch(samples, "with-digest")
    assert time.monotonic() - began < 20  # without a deadline, nine attempts take more than 26
    assert not (folder / samples / "with-digest").exists()


def test_deadline_stops_a_flowing_download_and_keeps_its_bytes(link, connect, samples):
    link.link = PART
    with pytest.raises(DeadlineExceededError, match=f"of {SAMPLE_SIZE} bytes are kept"):
        connect(deadline=2).fetch(samples, "with-digest")
    link.link = None
    assert connect().fetch(samples, "with-digest").resumed_from > 0


def test_deadline_error_mentions_a_stall(link, connect, samples):
    link.inject(faults.trickle_after(0, pause=0.01, times=None))
    with pytest.raises(DeadlineExceededError, match=r"(after|last failure): .*fewer than 1024 bytes a second"):
        connect(deadline=2.5).fetch(samples, "with-digest")


def test_deadline_error_mentions_an_answer_with_another_range(link, connect, samples):
    link.inject(faults.wrong_content_range(4096, times=None))
    with pytest.raises(DeadlineExceededError, match="was asked for byte 0 and sent bytes 4096 "):
        connect(deadline=1).fetch(samples, "without-digest")


def test_deadline_error_mentions_a_connection_that_cannot_be_opened(folder):
    """Even if the deadline comes during the second attempt."""
    patient = Config(connect_timeout=2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as opened:
        for _ in range(4):  # as many as the system queues
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        manager = opened.enter_context(CDNManager(CDNCredentials(url, *READER), patient, deadline=3.2))
        with pytest.raises(DeadlineExceededError, match="no connection to http"):
            manager.fetch("bucket", "object")
