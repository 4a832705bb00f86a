"""ETags are compared while bytes arrive, and only where that does not hold up the download."""

import io
import threading

import pytest
from boto3.s3.transfer import TransferConfig
from downloads import interrupt
from objects import payload_of

from cdn_engine.download.hasher import Hasher

SIZE = 20 << 20  # more than one request brings


@pytest.fixture(scope="module")
def stored(admin, bucket):
    """The bucket, with an object in boto3's parts."""
    admin.upload_fileobj(io.BytesIO(payload_of(SIZE)), bucket, "in parts")
    return bucket


def test_etag_is_compared_while_bytes_arrive(stored, link, connect, monkeypatch):
    link.link = SIZE / 3  # a second: half of it takes much longer to arrive than to be hashed, also on a busy machine
    monkeypatch.setattr("cdn_engine.download.verifier._SHARE", 0)
    monkeypatch.setattr("cdn_engine.download.verifier._TOLERANCE", 1000)
    monkeypatch.setattr("cdn_engine.download.verifier._MD5_RATE", SIZE / 2 / 0.2)  # no more than half may be left
    assert connect(parts=TransferConfig(max_concurrency=1)).fetch(stored, "in parts").verified_by == "md5"


def test_etag_of_a_download_that_was_resumed_is_compared(stored, connect):
    manager = connect(parts=None)
    interrupt(manager, stored, "in parts", SIZE // 2)
    result = manager.fetch(stored, "in parts")
    assert result.resumed_from
    assert result.verified_by == "md5"


def test_etag_is_not_compared_where_that_would_hold_up_the_download(stored, manager, monkeypatch):
    monkeypatch.setattr("cdn_engine.download.verifier._SLOW", 0)
    monkeypatch.setattr("cdn_engine.download.verifier._MD5_RATE", 1)
    result = manager.fetch(stored, "in parts")
    assert (result.transferred, result.verified, result.verified_by) == (SIZE, False, None)


def test_comparison_that_falls_behind_is_given_up(stored, connect, monkeypatch):
    answers, given_up, usual = iter([True]), [], Hasher.give_up
    monkeypatch.setattr("cdn_engine.download.verifier._LOOK", 0)
    monkeypatch.setattr("cdn_engine.download.verifier.Verifier._is_affordable", lambda _: next(answers, False))
    monkeypatch.setattr(Hasher, "give_up", lambda self: given_up.append(self._next < SIZE) or usual(self))
    result = connect(parts=None).fetch(stored, "in parts")
    assert (result.transferred, result.verified) == (SIZE, False)
    assert given_up[0]
    assert "cdn-download-digest" not in [thread.name for thread in threading.enumerate()]
