"""Servers to upload to, and managers that hold only the uploader key."""

import contextlib
import threading
import time

import pytest
from local_store import WRITER
from scripted_server import Exchange, ScriptedServer

from cdn_engine.upload import identity
from cdn_manager import CDNCredentials, CDNManager


@pytest.fixture
def server():
    """A store that records every request and keeps no object."""
    with ScriptedServer(window=64 << 10) as running:
        yield running


@pytest.fixture
def once_parts_arrive(server):
    """A function that returns an action: ``then``, but not before this many parts have been requested."""

    def make(count, then=Exchange.answer_as_usual):
        def act(exchange):
            while server.operations.count("UploadPart") < count and not server.ended.wait(0.001):
                pass
            then(exchange)

        return act

    return make


@pytest.fixture
def proxy(store):
    """A proxy in front of the real store, for injecting faults."""
    with ScriptedServer(upstream=store.url, window=64 << 10) as running:
        yield running


@pytest.fixture
def publisher_at():
    """A function that returns a manager with only the uploader key: ``publisher_at(url, deadline=1.0)``.

    With ``reader=READER``, it holds both.
    """
    with contextlib.ExitStack() as opened:

        def make(url, reader=("", ""), **settings):
            return opened.enter_context(CDNManager(CDNCredentials(url, *reader, *WRITER), **settings))

        yield make


@pytest.fixture
def publisher(publisher_at, server):
    """A manager with only the uploader key, connected to ``server``."""
    return publisher_at(server.url)


@pytest.fixture
def short_rest(monkeypatch):
    """Ask again soon when the answer to CompleteMultipartUpload was lost. It is five minutes otherwise."""
    monkeypatch.setattr("cdn_engine.upload.completion._REST", 0.1)


@pytest.fixture
def long_silence(monkeypatch):
    """Take no connection that a test holds for silent, however slow the machine is."""
    monkeypatch.setattr("cdn_engine.upload.parts._SILENCE", 600.0)


@pytest.fixture
def settled():
    """A function that writes a file, and waits until its next change will show in its times.

    ``settled(path, content)`` returns the path. Tests that need it are skipped where nothing shows a change.
    """

    def write(path, content):
        path.write_bytes(content)
        with path.open("rb", buffering=0) as file:
            if not identity._is_dated(file.fileno()):
                pytest.skip("the times of this file system are not relied upon")
            while identity.watch(file) is None:
                time.sleep(0.001)
        return path

    return write


@pytest.fixture
def unfinished_uploads(admin):
    """A function that returns the ids of a bucket's unfinished multipart uploads."""

    def listing(bucket):
        return [found["UploadId"] for found in admin.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]

    return listing


@pytest.fixture
def upload_threads():
    """A function that returns the upload threads that are still running."""
    return lambda: [thread for thread in threading.enumerate() if thread.name.startswith("cdn-upload")]
