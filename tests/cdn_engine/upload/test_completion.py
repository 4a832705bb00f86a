"""CompleteMultipartUpload: waited for as long as a store takes, and never followed by anything before its answer."""

import os
import signal
import sys
import time

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from payloads import PART
from scripted_server import answering, losing_the_answer, stalling

from cdn_manager import DeadlineExceededError, ObjectExistsError, OutcomeUnknownError

pytestmark = pytest.mark.portable

COMPLETED = b"<CompleteMultipartUploadResult><ETag>etag</ETag></CompleteMultipartUploadResult>"
PRECONDITION_FAILED = answering(412, "PreconditionFailed")
NO_SUCH_UPLOAD = answering(404, "NoSuchUpload")
HTML = b"<html><head><title>504 Gateway Time-out</title></head><body><hr>nginx</body></html>"

LOST = {
    "reset": losing_the_answer,
    "504-of-a-gateway": answering(504, body=HTML),
    "502-without-body": answering(502, body=b""),
    "half-of-the-answer": answering(200, body=COMPLETED[:40]),
}
ANSWERED = {
    "500": answering(500, "InternalError"),
    "503": answering(503, "SlowDown"),
    "429": answering(429, "Throttling"),
    "error-in-a-200": answering(200, body=b"<Error><Code>InternalError</Code><Message>no</Message></Error>"),
    "no-ETag": answering(200, body=b""),
}


def answering_late(seconds, keepalive=b""):
    """An action: answer after this many seconds, with ``keepalive`` every now and then until then."""

    def act(exchange):
        for _ in exchange.read_body():
            pass
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" if keepalive else b""
        exchange.connection.sendall(head)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            exchange.server.ended.wait(0.1)
            if keepalive:
                exchange.connection.sendall(b"%x\r\n%s\r\n" % (len(keepalive), keepalive))
        if keepalive:
            xml = b'<?xml version="1.0" encoding="UTF-8"?>' + COMPLETED
            exchange.connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(xml), xml))
        else:
            exchange.answer_as_usual()

    return act


def store_large(publisher, **options):
    return publisher.store("bucket", "key", bytes(PART + 1), **options)


# Waiting for the answer


@pytest.mark.parametrize("keepalive", [b"", b" ", b"\n"], ids=["silent", "space", "line-break"])
def test_answer_is_waited_for_longer_than_any_other(server, publisher_at, keepalive):
    server.fault("CompleteMultipartUpload", answering_late(2.5, keepalive))
    store_large(publisher_at(server.url, config=Config(read_timeout=1), deadline=60.0))
    assert server.operations.count("CompleteMultipartUpload") == 1
    assert "AbortMultipartUpload" not in server.operations


def test_progress_is_called_while_the_store_puts_the_parts_together(server, publisher):
    counts = []

    def answer_once_called_again(exchange):
        reported = len(counts)
        while len(counts) < reported + 3:
            server.ended.wait(0.01)
        exchange.answer_as_usual()

    server.fault("CompleteMultipartUpload", answer_once_called_again)
    store_large(publisher, progress=counts.append)
    assert counts[-3:] == [0, 0, 0]
    assert sum(counts) == PART + 1


# Unanswered


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot press Ctrl-C for itself")
def test_ctrl_c_before_the_answer_aborts_nothing_and_says_that_the_object_may_be_stored(
    server, publisher, log_lines, upload_threads
):
    def press_ctrl_c(exchange):
        os.kill(os.getpid(), signal.SIGINT)
        stalling()(exchange)

    server.fault("CompleteMultipartUpload", press_ctrl_c)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        store_large(publisher)
    assert time.monotonic() - began < 20
    assert server.operations[-1] == "CompleteMultipartUpload"
    assert upload_threads() == []
    (line,) = log_lines()
    assert line.startswith("bucket/key: ")
    assert "the object may be stored" in line
    assert "'id'" in line


def test_exception_in_progress_before_the_answer_aborts_nothing(server, publisher, log_lines):
    def progress(count):
        if server.operations[-1] == "CompleteMultipartUpload":
            raise LookupError("the window is gone")

    server.fault("CompleteMultipartUpload", stalling())
    with pytest.raises(LookupError, match="the window is gone"):
        store_large(publisher, progress=progress)
    assert server.operations[-1] == "CompleteMultipartUpload"
    assert any("the object may be stored" in line for line in log_lines())


def test_deadline_before_the_answer_makes_the_outcome_unknown(server, publisher_at):
    server.fault("CompleteMultipartUpload", stalling())
    with pytest.raises(OutcomeUnknownError, match=r"may be stored.*'id'") as unknown:
        store_large(publisher_at(server.url, deadline=2.0))
    assert isinstance(unknown.value.__cause__, DeadlineExceededError)
    assert server.operations[-1] == "CompleteMultipartUpload"


# Lost answers


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_nothing_is_asked_while_the_first_request_may_still_run(server, publisher_at, lost, log_lines):
    server.fault("CompleteMultipartUpload", lost)

    class Enough(Exception):
        pass

    began = time.monotonic()

    def progress(count):
        if any("asking again in 300 s" in line for line in log_lines()) and time.monotonic() - began > 1:
            raise Enough

    with pytest.raises(Enough):
        store_large(publisher_at(server.url), progress=progress)
    assert server.operations[-1] == "CompleteMultipartUpload"
    assert server.operations.count("CompleteMultipartUpload") == 1


@pytest.mark.usefixtures("short_rest")
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_complete_is_asked_again_when_its_first_asking_must_be_over(server, publisher, lost):
    server.fault("CompleteMultipartUpload", lost, lost)
    store_large(publisher)
    assert server.operations.count("CompleteMultipartUpload") == 3
    assert "AbortMultipartUpload" not in server.operations


@pytest.mark.usefixtures("short_rest")
@pytest.mark.parametrize("overwrite", [True, False], ids=["overwrite", "no-overwrite"])
@pytest.mark.parametrize("then", [NO_SUCH_UPLOAD, PRECONDITION_FAILED, answering(403)], ids=["404", "412", "403"])
def test_complete_has_an_unknown_outcome_when_its_answer_is_lost(server, publisher, overwrite, then):
    server.fault("CompleteMultipartUpload", losing_the_answer, then)
    with pytest.raises(OutcomeUnknownError, match=r"bucket/key: .*may be stored.*'id'"):
        store_large(publisher, overwrite=overwrite)
    assert "AbortMultipartUpload" not in server.operations


@pytest.mark.usefixtures("short_rest")
def test_complete_whose_answers_are_lost_for_too_long_has_an_unknown_outcome(server, publisher, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.completion._PATIENCE", 1.0)
    server.fault("CompleteMultipartUpload", *[losing_the_answer] * 99)
    with pytest.raises(OutcomeUnknownError, match="may be stored"):
        store_large(publisher)
    assert server.operations.count("CompleteMultipartUpload") > 1
    assert "AbortMultipartUpload" not in server.operations


def test_deadline_too_soon_to_ask_again_ends_the_upload_at_once(server, publisher_at):
    server.fault("CompleteMultipartUpload", losing_the_answer)
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError, match="may be stored"):
        store_large(publisher_at(server.url, deadline=100.0))
    assert time.monotonic() - began < 50


# Answers of the store itself


@pytest.mark.parametrize("answer", ANSWERED.values(), ids=ANSWERED)
def test_complete_is_asked_again_after_an_answer_of_the_store(server, publisher_at, answer):
    server.fault("CompleteMultipartUpload", answer)
    store_large(publisher_at(server.url, deadline=100.0))
    assert server.operations.count("CompleteMultipartUpload") == 2


def test_outcome_is_unknown_when_the_store_failed_and_then_knows_no_such_upload(server, publisher):
    server.fault("CompleteMultipartUpload", answering(500, "InternalError"), NO_SUCH_UPLOAD)
    with pytest.raises(OutcomeUnknownError, match="may be stored"):
        store_large(publisher)


def test_complete_has_a_known_outcome_when_the_first_answer_is_no_such_upload(server, publisher):
    server.fault("CompleteMultipartUpload", NO_SUCH_UPLOAD)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        store_large(publisher)


def test_complete_has_a_known_outcome_when_the_first_answer_is_that_the_object_exists(server, publisher):
    server.fault("CompleteMultipartUpload", PRECONDITION_FAILED)
    with pytest.raises(ObjectExistsError):
        store_large(publisher, overwrite=False)
    assert server.operations[-1] == "AbortMultipartUpload"


def test_slow_answer_of_the_store_leaves_time_to_ask_again(server, publisher, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.request._PATIENCE", 2.0)

    def fail_late(exchange):
        exchange.server.ended.wait(2.5)
        answering(500, "InternalError")(exchange)

    server.fault("CompleteMultipartUpload", fail_late)
    store_large(publisher)
    assert server.operations.count("CompleteMultipartUpload") == 2
