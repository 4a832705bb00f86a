"""How many bytes are hashed for an upload, and what the digests are."""

import hashlib
import ssl
import threading

import pytest
import trustme
from payloads import PART, payload_of, sha256
from scripted_server import ScriptedServer

from cdn_engine.upload.digest import hash_payload

pytestmark = pytest.mark.portable

LITTLE = 64 << 10  # bytes; what else is hashed for a request


@pytest.mark.parametrize("part", [1, 3, 10, 999, 1000, 5000])
@pytest.mark.parametrize("block", [1, 7, 10, 1000, 2000])
def test_digests_are_those_of_the_payload_and_of_its_parts(part, block):
    payload = payload_of(1000)
    blocks = (memoryview(payload)[start:start + block] for start in range(0, len(payload), block))
    parts = [sha256(payload[start:start + part]) for start in range(0, len(payload), part)]
    assert hash_payload(blocks, part, lambda _: None) == (sha256(payload), parts)


def test_digests_are_made_without_a_thread_where_there_is_none(monkeypatch):
    def no_start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_start)
    blocks = [memoryview(b"abc"), memoryview(b"abc")]
    assert hash_payload(blocks, 3, lambda _: None) == (sha256(b"abcabc"), [sha256(b"abc")] * 2)


def test_exception_in_the_pulse_ends_the_hashing():
    def pulse(_):
        raise InterruptedError

    blocks = iter([memoryview(b"abc"), memoryview(b"abc")])
    with pytest.raises(InterruptedError):
        hash_payload(blocks, 3, pulse)
    assert len(list(blocks)) == 1


@pytest.fixture
def hashed(monkeypatch):
    """The sizes of what is hashed."""
    sizes = []
    plain = hashlib.sha256

    class Counting:
        def __init__(self, data=b"", **options):
            self._digest = plain(**options)
            self.update(data)

        def update(self, data):
            sizes.append(len(data))
            self._digest.update(data)

        def __getattr__(self, name):
            return getattr(self._digest, name)

    monkeypatch.setattr(hashlib, "sha256", Counting)
    monkeypatch.setattr("cdn_engine.upload.digest.sha256", Counting)
    return sizes


@pytest.fixture
def secure_publisher(publisher_at, monkeypatch):
    """A publisher over https."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as bundle, ScriptedServer(tls=context, keep_bodies=False) as server:
        monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
        yield publisher_at(server.url)


@pytest.mark.parametrize("kind", ["bytes", "path"])
@pytest.mark.parametrize(("size", "passes"), [(PART, 1), (2 * PART, 2)], ids=["one-request", "parts"])
def test_payload_is_hashed_once_over_http_and_once_more_in_parts(
    publisher, hashed, folder, settled, kind, size, passes
):
    payload = bytes(size) if kind == "bytes" else settled(folder / "payload", bytes(size))
    publisher.store("bucket", "key", payload)
    assert passes * size <= sum(hashed) <= passes * size + LITTLE


@pytest.mark.parametrize("kind", ["bytes", "path"])
@pytest.mark.parametrize("size", [PART, 2 * PART], ids=["one-request", "parts"])
def test_payload_is_hashed_once_over_https(secure_publisher, hashed, folder, settled, kind, size):
    payload = bytes(size) if kind == "bytes" else settled(folder / "payload", bytes(size))
    secure_publisher.store("bucket", "key", payload)
    assert size <= sum(hashed) <= size + LITTLE
