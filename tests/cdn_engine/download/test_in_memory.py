"""Small objects that are read into memory: whole and right, or refused, and never more than is allowed."""

import hashlib

import pytest
from botocore.exceptions import ClientError
from local_store import READER
from scripted_server import ScriptedServer, answering

from cdn_engine.download.in_memory import read_object
from cdn_engine.download.remote import RemoteObject
from cdn_manager import CDNCredentials, CDNManager, IntegrityError, NotAStoreError

CONTENT = bytes(range(256)) * 1000


def read(url, bucket, key="key", most=1 << 20, pulse=lambda: None):
    with CDNManager(CDNCredentials(url, *READER)) as manager:
        return read_object(RemoteObject(manager.download_client.store, bucket, key, {}), most, pulse)


@pytest.fixture
def stored(moto_admin, moto_bucket):
    moto_admin.put_object(Bucket=moto_bucket, Key="key", Body=CONTENT)
    moto_admin.put_object(Bucket=moto_bucket, Key="empty", Body=b"")
    digest = hashlib.sha256(b"other").hexdigest()
    moto_admin.put_object(Bucket=moto_bucket, Key="wrong", Body=CONTENT, Metadata={"sha256": digest})
    return moto_bucket


def test_object_is_read_if_it_is_not_too_large(moto_url, stored):
    assert read(moto_url, stored, most=len(CONTENT)) == CONTENT
    assert read(moto_url, stored, "empty", most=0) == b""
    assert read(moto_url, stored, most=len(CONTENT) - 1) is None


def test_digest_is_compared(moto_url, stored):
    with pytest.raises(IntegrityError):
        read(moto_url, stored, "wrong")


def test_object_that_is_not_there_is_the_stores_refusal(moto_url, stored):
    with pytest.raises(ClientError, match="NoSuchKey"):
        read(moto_url, stored, "missing")


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


def sending(content, headers=(), missing=0):
    """An action: answer with this content, and cut the connection before its last bytes."""

    def act(exchange):
        exchange.answer(200, [*headers, ("Content-Length", len(content) + missing)], content)
        if missing:
            exchange.reset()

    return act


def test_connection_that_breaks_is_retried(server):
    server.fault("GET", sending(CONTENT, missing=5), answering(503, "SlowDown"), sending(CONTENT))
    assert read(server.url, "bucket") == CONTENT


def test_web_page_is_no_object(server):
    server.fault("GET", sending(b"<!DOCTYPE html><html>", [("Content-Type", "text/html")]))
    with pytest.raises(NotAStoreError, match="web page"):
        read(server.url, "bucket")


def test_object_without_a_length_is_read_to_its_end_or_to_the_limit(server):
    def chunked(exchange):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        exchange.connection.sendall(head + b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")

    server.fault("GET", chunked, chunked)
    assert read(server.url, "bucket") == b"helloworld"
    assert read(server.url, "bucket", most=9) is None


def test_caller_can_end_it(server):
    server.fault("GET", lambda exchange: server.ended.wait())

    def end():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(server.url, "bucket", pulse=end)
