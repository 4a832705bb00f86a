"""A request that another thread cuts ends at once, at whatever stage it is."""

import contextlib
import socket
import ssl
import threading

import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from payloads import Content
from scripted_server import ScriptedServer, answering, dripping, refusing_unread, resetting, stalling

from cdn_engine.wire.attempt import Attempt
from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.portable

PATIENT = Config(connect_timeout=500, read_timeout=500)  # seconds; a request that is not cut fails the test


def client_of(stack, url):
    return stack.enter_context(CDNManager(CDNCredentials(url, "r", "rs", "w", "ws"), PATIENT)).upload_client


def put(client, attempt, content=b"abc"):
    return client.store.call("PutObject", {"Bucket": "bucket", "Key": "key"}, attempt, Content(content))


def cut_when(client, reached, content=b"abc"):
    """Make a request, and cut it as soon as ``reached()`` returns. Return what it raises."""
    attempt, raised = Attempt(), []

    def run():
        try:
            put(client, attempt, content)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    reached(attempt)
    attempt.cut()
    thread.join(60)
    assert not thread.is_alive()
    return raised[0]


def wait_until(condition):
    while not condition():
        threading.Event().wait(0.01)


def received_by(server, number):
    """Return how many bytes of the body of this request the server has read so far; the first is number 1."""
    return server.requests[number - 1].received if len(server.requests) >= number else 0


def test_request_is_cut_while_it_connects():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as opened:
        for _ in range(4):  # as many as the system queues
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        client = client_of(opened, f"http://127.0.0.1:{full.getsockname()[1]}")
        cut_when(client, lambda attempt: wait_until(lambda: attempt._socket is not None))


def test_request_is_cut_in_the_handshake_of_tls():
    with socket.create_server(("127.0.0.1", 0)) as silent, contextlib.ExitStack() as opened:
        client = client_of(opened, f"https://127.0.0.1:{silent.getsockname()[1]}")
        cut_when(client, lambda _: opened.enter_context(silent.accept()[0]).recv(1))


@pytest.fixture(params=["http", "https"])
def served(request, monkeypatch):
    """A server, and a client for it."""
    with contextlib.ExitStack() as opened:
        context = None
        if request.param == "https":
            authority = trustme.CA()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            monkeypatch.setenv("AWS_CA_BUNDLE", opened.enter_context(authority.cert_pem.tempfile()))
        server = opened.enter_context(ScriptedServer(tls=context, keep_bodies=False, window=1 << 16))
        yield server, client_of(opened, server.url)


@pytest.mark.parametrize("idle", [False, True], ids=["new-connection", "idle-connection"])
def test_request_is_cut_while_it_is_sent(served, idle):
    server, client = served
    if idle:
        put(client, Attempt())
    server.fault("PutObject", stalling(after=1))
    sent = len(server.requests) + 1
    cut_when(client, lambda _: wait_until(lambda: received_by(server, sent) >= 1), bytes(64 << 20))


@pytest.mark.parametrize("idle", [False, True], ids=["new-connection", "idle-connection"])
def test_request_is_cut_while_it_is_unanswered(served, idle):
    server, client = served
    if idle:
        put(client, Attempt())
    server.fault("PutObject", stalling(after=3))
    sent = len(server.requests) + 1
    cut_when(client, lambda _: wait_until(lambda: received_by(server, sent) == 3))


def test_request_is_cut_while_its_answer_arrives(served):
    server, client = served
    halfway = threading.Event()

    def half_an_answer(exchange):
        exchange.connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\n<Error>")
        halfway.set()
        exchange.server.ended.wait(500)

    server.fault("PutObject", half_an_answer)
    cut_when(client, lambda _: halfway.wait(500), b"")


def test_request_that_is_cut_before_it_begins_is_not_sent(served):
    server, client = served
    attempt = Attempt()
    attempt.cut()
    with pytest.raises(BotoCoreError):
        put(client, attempt)
    assert not server.requests


def test_next_request_after_a_cut_is_whole(served):
    server, client = served
    server.fault("PutObject", stalling(after=3))
    cut_when(client, lambda _: wait_until(lambda: received_by(server, 1) == 3))
    put(client, Attempt())
    assert [request.connection for request in server.requests] == [1, 2]


def test_cut_after_the_answer_spares_the_connection_which_may_serve_others(served):
    server, client = served
    attempt = Attempt()
    put(client, attempt)
    attempt.cut()
    put(client, Attempt())
    assert [request.connection for request in server.requests] == [1, 1]


def test_attempt_lets_go_of_a_connection_that_broke(served):
    """Its descriptor may be another connection's by the time of a cut."""
    server, client = served
    server.fault("PutObject", resetting())
    attempt = Attempt()
    with pytest.raises(BotoCoreError):
        put(client, attempt)
    assert attempt._socket is None


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_refusal_of_a_body_that_is_not_read_is_the_stores_own(served, reset):
    server, client = served
    server.fault("PutObject", refusing_unread(400, "EntityTooLarge", reset))
    with pytest.raises(ClientError, match="EntityTooLarge"):
        put(client, Attempt(), bytes(64 << 20))
    put(client, Attempt())
    assert [request.connection for request in server.requests] == [1, 2]


def test_attempt_is_made_once_and_other_calls_are_retried(served):
    server, client = served
    server.fault("PutObject", answering(503), answering(503))
    with pytest.raises(ClientError):
        put(client, Attempt())
    assert len(server.requests) == 1
    client.put_object(Bucket="bucket", Key="key", Body=b"abc")
    assert len(server.requests) == 3


def test_read_timeout_of_an_attempt_is_its_own(served):
    server, client = served
    server.fault("PutObject", stalling(after=3))
    with pytest.raises(ReadTimeoutError):
        put(client, Attempt(read_timeout=0.2))


@pytest.mark.parametrize("pulse", [None, lambda: None], ids=["alone", "with-a-pulse"])
def test_piece_has_to_be_taken_whole_within_the_connect_timeout(served, pulse):
    """A connection that takes a byte now and then is as good as silent."""
    server, client = served
    client.store._session._config.connect_timeout = 0.3
    server.fault("PutObject", dripping())
    in_one = Content(bytes(8 << 20))
    in_one.pieces = lambda: [bytes(8 << 20)]
    with pytest.raises(BotoCoreError):
        client.store.call("PutObject", {"Bucket": "bucket", "Key": "key"}, Attempt(pulse=pulse), in_one)
