"""What a transfer raises: ``TRANSFER_ERRORS`` catches all of it, and nothing else."""

import sys

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError
from local_store import READER, WRITER
from scripted_server import ScriptedServer

from cdn_engine import errors
from cdn_manager import (
    TRANSFER_ERRORS,
    CDNCredentials,
    CDNError,
    CDNManager,
    CredentialMissingError,
    DeadlineExceededError,
    IntegrityError,
    NotAStoreError,
    ObjectChangedError,
    ObjectExistsError,
    OutcomeUnknownError,
    StalledError,
    StoreProtocolError,
    UnsafePathError,
    URLRefusedError,
)

pytestmark = pytest.mark.portable


@pytest.fixture
def one_attempt(monkeypatch):
    """Give up after the first failed attempt."""
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 1)


def test_every_error_type_can_be_imported_from_cdn_manager():
    imported = {
        CDNError, CredentialMissingError, DeadlineExceededError, IntegrityError, NotAStoreError, ObjectChangedError,
        ObjectExistsError, OutcomeUnknownError, StalledError, StoreProtocolError, UnsafePathError,
        URLRefusedError,
    }  # fmt: skip
    defined = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CDNError)}
    assert imported == defined


@pytest.mark.parametrize(
    ("transfer", "expected"),
    [
        (lambda manager, bucket: manager.fetch(bucket, "no-such-key"), ClientError),
        (lambda manager, bucket: manager.orphans("no-such-bucket"), ClientError),
        (lambda manager, bucket: manager.fetch(bucket, "../key"), UnsafePathError),
        (lambda manager, bucket: manager.fetch(bucket, "key", sha256="0" * 64), IntegrityError),
        (lambda manager, bucket: manager.fetch(bucket, "key", path="file/key"), NotADirectoryError),
        (lambda manager, bucket: manager.store(bucket, "key", b"abc", overwrite=False), ObjectExistsError),
        (lambda manager, bucket: manager.store(bucket, "key", "no-such-file"), FileNotFoundError),
    ],
    ids=[
        "missing-key", "missing-bucket", "unsafe-key", "wrong-digest", "path-below-a-file", "existing-object",
        "missing-file",
    ],
)  # fmt: skip
def test_transfer_errors_catches_every_failure(moto_manager, moto_bucket, folder, transfer, expected):
    (folder / "file").touch()
    moto_manager.store(moto_bucket, "key", b"abc")
    with pytest.raises(TRANSFER_ERRORS) as caught:
        transfer(moto_manager, moto_bucket)
    assert isinstance(caught.value, expected)


@pytest.mark.parametrize("direction", ["fetch", "store"])
def test_transfer_errors_catches_an_unreachable_host(folder, one_attempt, direction):
    with CDNManager(CDNCredentials("http://127.0.0.1:9", *READER, *WRITER)) as manager:
        transfers = {"fetch": lambda: manager.fetch("b", "k"), "store": lambda: manager.store("b", "k", b"abc")}
        with pytest.raises(TRANSFER_ERRORS) as caught:
            transfers[direction]()
    assert isinstance(caught.value, EndpointConnectionError)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"Content-Length: 1000\r\n\r\nshort", StoreProtocolError),
        (b"Transfer-Encoding: chunked\r\n\r\n?", ConnectionClosedError),
    ],
    ids=["body-cut-off", "broken-chunk"],
)
def test_transfer_errors_catches_a_broken_answer(folder, one_attempt, body, expected):
    def break_off(exchange):
        head = b'HTTP/1.1 206 Partial Content\r\nETag: "etag"\r\nContent-Range: bytes 0-999/1000\r\n'
        exchange.connection.sendall(head + body)
        exchange.close()

    with ScriptedServer() as server, CDNManager(CDNCredentials(server.url, *READER)) as manager:
        server.fault("GET", break_off)
        with pytest.raises(TRANSFER_ERRORS) as caught:
            manager.fetch("bucket", "key")
    assert isinstance(caught.value, expected)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
def test_transfer_errors_catches_a_disk_that_takes_no_more(moto_manager, moto_bucket, folder):
    import resource

    moto_manager.store(moto_bucket, "key", bytes(1 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, hard))
    try:
        with pytest.raises(TRANSFER_ERRORS, match="too large") as caught:
            moto_manager.fetch(moto_bucket, "key")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, TypeError, MemoryError])
def test_transfer_errors_lets_interrupts_and_mistakes_pass(moto_manager, moto_bucket, error):
    def progress(count):
        raise error

    with pytest.raises(error) as caught:
        moto_manager.store(moto_bucket, "key", b"abc", progress=progress)
    assert not isinstance(caught.value, TRANSFER_ERRORS)
