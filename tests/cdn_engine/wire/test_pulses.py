"""While a request waits, its attempt pulses about 20 times a second, whatever it waits for, and a pulse can end it."""

import contextlib
import socket
import ssl
import threading
import time

import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import BotoCoreError, EndpointConnectionError, ReadTimeoutError
from payloads import Content
from scripted_server import ScriptedServer, stalling
from tunnel import Tunnel

from cdn_engine.wire.attempt import Attempt
from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.portable

NAMED = {"Bucket": "bucket", "Key": "key"}
PATIENT = Config(connect_timeout=500, read_timeout=500)  # seconds; a request that no pulse ends fails the test
STORE = "store.invalid"


def put(client, attempt, size=3):
    client.store.call("PutObject", NAMED, attempt, Content(bytes(size)))


def half_an_object(exchange):
    exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
    exchange.server.ended.wait(500)


class Stages:
    """Servers that leave a request waiting at one stage each: a method returns what makes the request."""

    def __init__(self, stack, monkeypatch):
        self.stack = stack
        self.monkeypatch = monkeypatch
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)

    def client(self, url, config=PATIENT):
        return self.stack.enter_context(CDNManager(CDNCredentials(url, "", "", "w", "ws"), config)).upload_client

    def server(self, operation, *actions, tls=None):
        server = self.stack.enter_context(ScriptedServer(tls=tls, keep_bodies=False, window=1 << 16))
        server.fault(operation, *actions)
        return server

    def tls(self):
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", STORE).configure_cert(context)
        self.monkeypatch.setenv("AWS_CA_BUNDLE", self.stack.enter_context(authority.cert_pem.tempfile()))
        return context

    def silent(self):
        """Return the address of a server that takes connections and says nothing."""
        listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def name(self):
        answered = threading.Event()
        self.stack.callback(answered.set)
        known = socket.getaddrinfo

        def slow(host, *arguments, flags=0, **named):
            if not flags & socket.AI_NUMERICHOST:
                answered.wait(500)
            return known(host, *arguments, flags=flags, **named)

        self.monkeypatch.setattr("socket.getaddrinfo", slow)
        client = self.client(f"http://{STORE}")
        return lambda attempt: put(client, attempt)

    def connecting(self):
        full = self.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # as many as the system queues
            waiting = self.stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        client = self.client(f"http://127.0.0.1:{full.getsockname()[1]}")
        return lambda attempt: put(client, attempt)

    def handshake(self):
        client = self.client(f"https://{self.silent()}")
        return lambda attempt: put(client, attempt)

    def tunnel(self):
        self.monkeypatch.setenv("HTTPS_PROXY", f"http://{self.silent()}")
        client = self.client(f"https://{STORE}")
        return lambda attempt: put(client, attempt)

    def handshake_in_a_tunnel(self):
        tls = self.tls()
        proxy = self.stack.enter_context(Tunnel(tls=tls, store=self.silent()))
        self.monkeypatch.setenv("HTTPS_PROXY", f"https://{proxy.host}")
        client = self.client(f"https://{STORE}")
        return lambda attempt: put(client, attempt)

    def sending(self, tls=None):
        client = self.client(self.server("PutObject", stalling(), tls=tls).url)
        return lambda attempt: put(client, attempt, 64 << 20)

    def sending_by_tls(self):
        return self.sending(self.tls())

    def sending_in_a_tunnel(self):
        tls = self.tls()
        server = self.server("PutObject", stalling(), tls=tls)
        proxy = self.stack.enter_context(Tunnel(tls=tls, store=server.url.partition("//")[2]))
        self.monkeypatch.setenv("HTTPS_PROXY", f"https://{proxy.host}")
        client = self.client(f"https://{STORE}")
        return lambda attempt: put(client, attempt, 64 << 20)

    def answer(self, tls=None):
        client = self.client(self.server("PutObject", stalling(), tls=tls).url)
        return lambda attempt: put(client, attempt)

    def answer_by_tls(self):
        return self.answer(self.tls())

    def body(self, tls=None):
        client = self.client(self.server("GET", half_an_object, tls=tls).url)

        def get(attempt):
            client.store.call("GetObject", NAMED, attempt)["Body"].read()

        return get

    def body_by_tls(self):
        return self.body(self.tls())

    def body_in_pieces(self):
        client = self.client(self.server("GET", half_an_object).url)

        def get(attempt):
            late, attempt.pulse = attempt.pulse, None  # set when the body is awaited
            body = client.store.call("GetObject", NAMED, attempt)["Body"]
            attempt.pulse = late
            while True:
                body.readinto(memoryview(bytearray(100)))

        return get


STAGES = [
    "name", "connecting", "handshake", "tunnel", "handshake_in_a_tunnel", "sending", "sending_by_tls",
    "sending_in_a_tunnel", "answer", "answer_by_tls", "body", "body_by_tls", "body_in_pieces",
]  # fmt: skip


@pytest.fixture
def stages(monkeypatch):
    with contextlib.ExitStack() as stack:
        yield Stages(stack, monkeypatch)


@pytest.mark.parametrize("stage", STAGES)
def test_pulse_comes_while_a_request_waits_and_can_end_it(stage, stages):
    request, times, enough = getattr(stages, stage)(), [], KeyError("enough")

    def pulse():
        times.append(time.monotonic())
        if len(times) == 10:
            raise enough

    with pytest.raises(KeyError) as caught:
        request(Attempt(pulse=pulse))
    assert caught.value is enough
    assert 0.04 * 9 < times[-1] - times[0] < 0.5 * 9  # seconds; 20 a second, ten times slower on a busy machine


@pytest.mark.parametrize("stage", ["connecting", "handshake", "sending", "sending_by_tls", "answer", "body"])
@pytest.mark.parametrize(
    "kind", [OSError, TimeoutError, BrokenPipeError, ssl.SSLError, ValueError, KeyboardInterrupt, SystemExit]
)
def test_what_a_pulse_raises_comes_out_as_it_is(kind, stage, stages):
    request, cause = getattr(stages, stage)(), KeyError("cause")
    raised = kind("raised")
    raised.__cause__ = cause

    def pulse():
        raise raised

    with pytest.raises(kind) as caught:
        request(Attempt(pulse=pulse))
    assert caught.value is raised
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("size", [3, 64 << 20], ids=["answer", "sending"])
def test_connection_of_a_request_that_a_pulse_has_ended_is_not_used_again(size, stages):
    server = stages.server("PutObject", stalling())
    client = stages.client(server.url)

    def pulse():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        put(client, Attempt(pulse=pulse), size)
    put(client, Attempt())
    assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("stage", ["answer", "body", "answer_by_tls"])
def test_timeout_counts_beside_a_pulse(stage, stages):
    beats = []
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        getattr(stages, stage)()(Attempt(read_timeout=0.5, pulse=lambda: beats.append(1)))
    assert beats
    assert 0.4 < time.monotonic() - began < 30


def test_body_that_waits_again_and_again_is_whole_in_tls_within_tls(stages):
    """What a pulse interrupts is not sent twice, nor lost."""
    tls = stages.tls()
    server = stages.stack.enter_context(ScriptedServer(tls=tls, window=1 << 16))

    def read_with_pauses(exchange):
        for number in range(4):
            exchange.server.ended.wait(0.2)
            for _ in exchange.read_body(1 << 20):
                pass
            assert exchange.request.received == (number + 1) << 20
        exchange.answer_as_usual()

    server.fault("PutObject", read_with_pauses)
    proxy = stages.stack.enter_context(Tunnel(tls=tls, store=server.url.partition("//")[2]))
    stages.monkeypatch.setenv("HTTPS_PROXY", f"https://{proxy.host}")
    content, beats = bytes(range(256)) * (4 << 12), []
    client = stages.client(f"https://{STORE}")
    client.store.call("PutObject", NAMED, Attempt(pulse=lambda: beats.append(1)), Content(content))
    assert bytes(server.requests[0].body) == content
    assert beats


@pytest.mark.parametrize("stage", ["handshake", "sending", "answer"])
def test_pulse_may_make_requests_of_its_own_which_are_not_those_of_the_attempt(stage, stages):
    request = getattr(stages, stage)()
    other = stages.client(stages.stack.enter_context(ScriptedServer()).url)
    attempt, tags = Attempt(), []

    def pulse():
        tags.append(other.head_object(**NAMED)["ETag"])
        put(other, Attempt())
        attempt.cut()

    attempt.pulse = pulse
    with pytest.raises(BotoCoreError):
        request(attempt)
    assert tags == ['"etag"']


def test_name_without_an_address_is_that_beside_a_pulse_too(stages):
    client = stages.client(f"http://{STORE}")
    with pytest.raises(EndpointConnectionError):
        put(client, Attempt(pulse=lambda: None))
