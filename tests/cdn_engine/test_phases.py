"""Tests the phases that a progress callback is told, and that they are told in the calling thread."""

import hashlib
import threading

import pytest
from fault_proxy import Proxy, refuses
from local_store import READER, WRITER
from scripted_server import ScriptedServer, answering

from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target
from cdn_engine.phases import Progress
from cdn_engine.upload.journal import Journal
from cdn_engine.wire.deadline import Deadline
from cdn_manager import CDNCredentials, CDNManager

SMALL = bytes(100_000)
LARGE = bytes(20 << 20)  # goes in parts


class Told:
    """A progress callback that keeps what it is told.

    Args:
        on_phase: Called with each phase, once.
    """

    def __init__(self, on_phase=lambda name: None):
        self.on_phase = on_phase
        self.names = []
        self.read = {}
        self.sizes = []
        self.counts = {}
        self.threads = set()

    def __call__(self, count):
        self.threads.add(threading.get_ident())
        self.counts[self.names[-1]] = self.counts.get(self.names[-1], 0) + count

    def phase(self, name, read, size):
        self.threads.add(threading.get_ident())
        self.read[name] = read
        if size not in self.sizes:
            self.sizes.append(size)
        if self.names[-1:] != [name]:
            self.names.append(name)
            self.on_phase(name)


@pytest.fixture
def told():
    """Callbacks are told everything in the thread of the test."""
    callback = Told()
    yield callback
    assert callback.threads <= {threading.get_ident()}


@pytest.fixture
def no_patience(monkeypatch):
    """A failed request is an outage at once."""
    for name in ("upload.state", "download.state", "download.opening"):
        monkeypatch.setattr(f"cdn_engine.{name}.OUTAGE", 0.0)


@pytest.fixture
def server():
    with ScriptedServer() as running, CDNManager(CDNCredentials(running.url, *READER, *WRITER)) as manager:
        running.manager = manager
        yield running


# Uploads


@pytest.mark.parametrize(("payload", "names"), [
    (SMALL, ["hashing", "sending"]), (LARGE, ["hashing", "sending", "finishing"]),
], ids=["in one request", "in parts"])  # fmt: skip
def test_upload_is_hashed_sent_and_finished(server, told, payload, names):
    server.manager.store("bucket", "key", payload, told)
    assert told.names == names
    assert told.read["hashing"] == sum(told.counts.values()) == told.sizes[-1] == len(payload)


def test_upload_of_a_stream_is_read_first(server, told, tmp_path):
    path = tmp_path / "pipe"
    path.write_bytes(SMALL)

    class Stream:
        def __init__(self, file):
            self.read = file.read

    with path.open("rb") as file:
        server.manager.store("bucket", "key", Stream(file), told)
    assert told.names == ["reading", "hashing", "sending"]
    assert told.read["reading"] == len(SMALL)
    assert told.sizes == [None, len(SMALL)]


def test_upload_asks_what_is_there(server, told):
    seen = threading.Event()
    told.on_phase = lambda name: name == "comparing" and seen.set()

    def answer_late(exchange):
        seen.wait(60)
        exchange.answer(404)

    server.fault("HEAD", answer_late)
    server.manager.store("bucket", "key", SMALL, told, overwrite="changed")
    assert told.names == ["hashing", "comparing", "sending"]


def test_upload_waits_for_another_process(server):
    other = Journal(server.url, "bucket", "key", hashlib.sha256(LARGE).hexdigest(), {})
    assert other.acquire("bucket/key", lambda _: None)
    told = Told(lambda name: name == "waiting" and other.release())
    server.manager.store("bucket", "key", LARGE, told)
    assert told.names == ["hashing", "waiting", "sending", "finishing"]


@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["in one request", "in parts"])
def test_upload_says_that_it_retries_until_something_moves(server, told, no_patience, payload):
    busy = answering(503, "SlowDown")
    server.fault("PutObject", busy, busy)
    server.fault("CreateMultipartUpload", busy, busy)
    server.manager.store("bucket", "key", payload, told)
    assert told.names[0] == "hashing"
    last = max(at for at, name in enumerate(told.names) if name == "retrying")
    assert told.names[last + 1] == "sending"


# Downloads


@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["in one request", "in parts"])
def test_download_is_received_and_finished(moto_admin, moto_bucket, moto_manager, told, payload):
    moto_admin.put_object(Bucket=moto_bucket, Key="key", Body=payload)
    moto_manager.fetch(moto_bucket, "key", progress=told)
    assert [name for name in told.names if name != "verifying"] == ["receiving", "finishing"]
    assert told.counts["receiving"] == len(payload)


def test_download_tells_the_size_before_all_bytes_are_there(moto_admin, moto_bucket, moto_manager, told):
    moto_admin.put_object(Bucket=moto_bucket, Key="key", Body=LARGE)
    moto_manager.fetch(moto_bucket, "key", progress=told)
    assert told.sizes == [None, len(LARGE)]


def test_digest_that_takes_longer_than_the_bytes_is_verifying(moto_bucket, moto_manager, told, monkeypatch):
    moto_manager.store(moto_bucket, "key", LARGE)
    plain = hashlib.sha256
    told.on_phase = lambda name: name == "verifying" and seen.set()
    seen = threading.Event()

    class Slow:
        def __init__(self, *_, **__):
            self._digest = plain()
            self.hexdigest = self._digest.hexdigest

        def update(self, block):
            seen.wait(60)
            self._digest.update(block)

    monkeypatch.setattr("cdn_engine.download.verifier.hashlib.sha256", Slow)
    moto_manager.fetch(moto_bucket, "key", progress=told)
    assert told.names == ["receiving", "verifying", "finishing"]
    assert 0 < told.read["verifying"] <= len(LARGE)


def test_file_that_is_there_is_compared(moto_bucket, moto_manager, told):
    moto_manager.store(moto_bucket, "key", LARGE)
    moto_manager.fetch(moto_bucket, "key")
    assert moto_manager.fetch(moto_bucket, "key", progress=told).skipped
    assert told.names == ["receiving", "comparing"]
    assert told.counts["comparing"] == told.read["comparing"] == told.sizes[-1] == len(LARGE)


def test_download_waits_for_another_process(moto_admin, moto_bucket, moto_manager, folder):
    moto_admin.put_object(Bucket=moto_bucket, Key="key", Body=LARGE)
    other = Partial(Target.of(folder / moto_bucket / "key"))
    other.lock(Deadline(None))
    told = Told(lambda name: name == "waiting" and other.unlock())
    moto_manager.fetch(moto_bucket, "key", progress=told)
    assert [name for name in told.names if name != "verifying"] == ["receiving", "waiting", "receiving", "finishing"]


@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["in one request", "in parts"])
def test_download_says_that_it_retries_until_something_comes(
    moto_admin, moto_bucket, moto_url, told, no_patience, folder, payload
):
    moto_admin.put_object(Bucket=moto_bucket, Key="key", Body=payload)
    with Proxy(moto_url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        proxy.inject(refuses(503), refuses(503))
        manager.fetch(moto_bucket, "key", progress=told)
    names = [name for name in told.names if name != "verifying"]
    assert names[:2] == ["receiving", "retrying"]  # twice, if something comes between the two refusals
    assert names[2:] in (["receiving", "finishing"], ["receiving", "retrying", "receiving", "finishing"])


# The callback


def test_callback_without_phases_gets_counts_alone(server):
    counts = []
    server.manager.store("bucket", "key", SMALL, counts.append)
    assert sum(counts) == len(SMALL)


def test_same_phase_is_told_once():
    told = []

    class Callback:
        def phase(self, *arguments):
            told.append(arguments)

    progress = Progress(Callback())
    for _ in range(3):
        progress.phase("hashing", 5)
    progress.phase("hashing", 6, 7)
    assert told == [("hashing", 5, None), ("hashing", 6, 7)]


class Ended(Exception):
    pass


def end_at(wanted):
    def on_phase(name):
        if name == wanted:
            raise Ended

    return Told(on_phase)


@pytest.mark.parametrize("phase", ["hashing", "sending", "finishing"])
def test_exception_when_a_phase_is_told_ends_an_upload(server, phase):
    with pytest.raises(Ended):
        server.manager.store("bucket", "key", LARGE, end_at(phase))


@pytest.mark.parametrize("phase", ["receiving", "finishing"])
@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["in one request", "in parts"])
def test_exception_when_a_phase_is_told_ends_a_download(moto_admin, moto_bucket, moto_manager, folder, payload, phase):
    moto_admin.put_object(Bucket=moto_bucket, Key="key", Body=payload)
    with pytest.raises(Ended):
        moto_manager.fetch(moto_bucket, "key", progress=end_at(phase))
    moto_manager.fetch(moto_bucket, "key")
    assert (folder / moto_bucket / "key").read_bytes() == payload
