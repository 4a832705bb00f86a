"""Ctrl-C at any point of a request: it comes out, shows no secret, and costs the next request nothing."""

import base64
import gc
import linecache
import sys
import threading
import traceback
import weakref
from pathlib import Path

import pytest
from payloads import Content
from scripted_server import ScriptedServer
from tunnel import Tunnel

import cdn_engine.wire
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.sockets import PlainSocket
from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.portable

NAMED = {"Bucket": "bucket", "Key": "key"}
OURS = str(Path(cdn_engine.wire.__file__).parent)
PASSWORD, SECRET = "pass-word", "the-secret"


class Interrupter:
    """Raises ``KeyboardInterrupt`` before the given line that this thread runs in our modules, counted from 1."""

    def __init__(self, line):
        self.left = line

    def __enter__(self):
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _trace(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith("with "):  # Ctrl-C does not come before a lock is released
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                self.where = frame.f_code.co_filename.rsplit("/")[-1], frame.f_lineno
                raise KeyboardInterrupt
        return self._trace


def put(client, attempt):
    assert client.store.call("PutObject", NAMED, attempt, Content(b"abc"))["ETag"] == '"etag"'


def get(client, attempt):
    client.store.call("GetObject", NAMED, attempt)["Body"].read()


MADE = weakref.WeakSet()


class CountedSocket(PlainSocket):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        MADE.add(self)


def count_open():
    gc.collect()
    return sum(one.fileno() >= 0 for one in MADE)


@pytest.mark.parametrize("request_of", [put, get])
@pytest.mark.parametrize("idle", [False, True], ids=["new-connection", "idle-connection"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of a socket that is collected instead of closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_at_any_line_comes_out_and_the_next_request_is_whole(idle, request_of, monkeypatch):
    monkeypatch.setattr("cdn_engine.wire.connections.PlainSocket", CountedSocket)
    gc.freeze()  # only what is made from now on is collected: that takes a moment instead of a tenth of a second
    with ScriptedServer() as server, CDNManager(CDNCredentials(server.url, "", "", "w", "ws")) as manager:
        client, line = manager.upload_client, 0
        leaks = []
        while True:
            line += 1
            if not idle:
                client.store._session.close()
            attempt, ended = Attempt(pulse=lambda: None), False
            try:
                with Interrupter(line) as interrupter:
                    request_of(client, attempt)
                    ended = True
            except KeyboardInterrupt:
                pass
            attempt.cut()  # whatever it has hold of, it is not a connection that may serve others
            put(client, Attempt())
            client.put_object(**NAMED)
            del attempt
            if count_open() > 1:
                leaks.append((line, interrupter.where))
            if ended:
                break
        gc.unfreeze()
        assert line > 50
        assert not leaks


def frames_of(error):
    """Return the text of the traceback from the second frame on, the first being the test's, with all variables."""
    shown = traceback.TracebackException(type(error), error, error.__traceback__.tb_next, capture_locals=True)
    return "".join(shown.format())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_frame_shows_the_password_of_a_proxy_after_ctrl_c(scheme, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("http.client.HTTPResponse._read_status", interrupted)
    with Tunnel(f"name:{PASSWORD}", store="127.0.0.1:9") as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://name:{PASSWORD}@{proxy.host}")
        credentials = CDNCredentials(f"{scheme}://store.invalid", "", "", "w", "ws")
        with CDNManager(credentials) as manager, pytest.raises(KeyboardInterrupt) as caught:
            put(manager.upload_client, Attempt())
    shown = frames_of(caught.value)
    assert "in exchange" in shown
    assert PASSWORD not in shown
    assert base64.b64encode(f"name:{PASSWORD}".encode()).decode() not in shown


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_no_frame_shows_the_secret_after_ctrl_c_while_a_request_is_signed(error, monkeypatch):
    def interrupted(key, *_):
        raise error(len(key))

    monkeypatch.setattr("hmac.digest", interrupted)
    credentials = CDNCredentials("http://store.invalid", "", "", "w", SECRET)
    with CDNManager(credentials) as manager, pytest.raises(error) as caught:
        put(manager.upload_client, Attempt())
    assert "in _build" in frames_of(caught.value)
    assert SECRET not in frames_of(caught.value)


def test_cut_from_another_thread_at_any_moment_leaves_the_next_request_whole():
    with ScriptedServer() as server, CDNManager(CDNCredentials(server.url, "", "", "w", "ws")) as manager:
        client = manager.upload_client
        for microseconds in range(0, 2000, 20):
            attempt, raised = Attempt(), []

            def run(attempt=attempt, raised=raised):
                try:
                    put(client, attempt)
                except Exception as error:
                    raised.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            threading.Event().wait(microseconds / 1e6)
            attempt.cut()
            thread.join(60)
            assert not thread.is_alive()
            put(client, Attempt())
