"""Objects that carry neither size, ETag nor digest, and what is no object at all."""

import logging

import pytest
from scripted_server import ScriptedServer, answering

from cdn_manager import CDNCredentials, CDNManager, IntegrityError, NotAStoreError, StoreProtocolError

pytestmark = pytest.mark.portable

PAGE = b"<!doctype html><html><head><title>Console</title></head><body></body></html>"
HTML = ("Content-Type", "text/html; charset=utf-8")


@pytest.fixture
def server():
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def manager(server):
    with CDNManager(CDNCredentials(server.url, "a", "b"), deadline=100) as manager:
        yield manager


def in_chunks(*blocks, headers=(), end=True):
    """An action: answer 200 in chunks, which do not tell the size; without ``end``, close in the middle."""

    def act(exchange):
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
        exchange.connection.sendall(f"HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n".encode())
        if exchange.request.method == "HEAD":
            return
        for block in blocks:
            exchange.connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))
        if end:
            exchange.connection.sendall(b"0\r\n\r\n")
        else:
            exchange.close()

    return act


ETAG = ("ETag", '"e"')


@pytest.mark.parametrize("headers", [[ETAG], []], ids=["with an ETag", "without"])
def test_object_of_unknown_size_is_downloaded_to_the_end_of_the_body(headers, server, manager, folder):
    server.fault("GET", in_chunks(b"some", b"thing", headers=headers))
    server.fault("HEAD", in_chunks(headers=headers))
    assert manager.fetch("bucket", "key").size == 9
    assert (folder / "bucket" / "key").read_bytes() == b"something"


def test_body_of_unknown_size_that_is_cut_off_is_downloaded_again(server, manager, folder):
    server.fault("GET", in_chunks(b"some", headers=[ETAG], end=False), in_chunks(b"some", b"thing", headers=[ETAG]))
    server.fault("HEAD", in_chunks(headers=[ETAG]), in_chunks(headers=[ETAG]))
    counts = []
    manager.fetch("bucket", "key", progress=counts.append)
    assert (folder / "bucket" / "key").read_bytes() == b"something"
    assert sum(counts) == 9


def test_body_that_only_the_end_of_the_connection_ends_is_not_believed(server, folder):
    def without_length(exchange):
        exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        if exchange.request.method == "GET":
            exchange.connection.sendall(b"some")
        exchange.close()

    server.fault("GET", *[without_length] * 20)
    server.fault("HEAD", *[without_length] * 20)
    with (
        CDNManager(CDNCredentials(server.url, "a", "b"), deadline=2) as manager,
        pytest.raises((StoreProtocolError, TimeoutError), match="nor where its answer ends"),
    ):
        manager.fetch("bucket", "key")
    assert not (folder / "bucket").exists()


@pytest.mark.parametrize("content_range", ["bytes 0--1/0", "bytes */0"])
def test_empty_object_may_be_answered_with_a_range(content_range, server, manager, folder):
    server.fault("GET", answering(206, headers=[ETAG, ("Content-Range", content_range)], body=b""))
    assert manager.fetch("bucket", "key").size == 0
    assert (folder / "bucket" / "key").read_bytes() == b""
    assert len(server.requests) == 1


@pytest.mark.parametrize("headers", [[HTML], [HTML, ETAG], [("Content-Type", "application/xhtml+xml")]])
def test_web_page_in_the_place_of_an_object_is_an_error_at_once(headers, server, manager, folder):
    server.fault("GET", answering(200, headers=[*headers, ("Server", "Some Console")], body=PAGE))
    with pytest.raises(NotAStoreError, match=r"web page .*Some Console"):
        manager.fetch("bucket", "model.bin")
    assert len(server.requests) == 1
    assert not (folder / "bucket").exists()


@pytest.mark.parametrize(
    ("key", "headers"), [("page.html", [HTML]), ("page.HTM", [HTML]), ("model.bin", [HTML, ("x-amz-request-id", "1")])]
)
def test_web_page_that_is_an_object_is_downloaded(key, headers, server, manager, folder):
    server.fault("GET", answering(200, headers=[*headers, ETAG], body=PAGE))
    manager.fetch("bucket", key)
    assert (folder / "bucket" / key).read_bytes() == PAGE


def test_required_digest_tells_an_object_from_a_page(server, manager):
    server.fault("GET", answering(200, headers=[HTML], body=PAGE))
    with pytest.raises(IntegrityError):
        manager.fetch("bucket", "model.bin", sha256="0" * 64)


def test_object_without_etag_and_digest_is_said_not_to_be_verified(server, manager, folder, caplog):
    server.fault("GET", answering(200, body=b"something"))
    assert not manager.fetch("bucket", "key").verified
    (record,) = caplog.records
    assert record.levelno == logging.ERROR  # which reaches stderr without any logging set up
    assert record.getMessage().startswith("bucket/key: nothing was verified")


def test_object_with_an_etag_is_not_mentioned(server, manager, folder, caplog):
    caplog.set_level(logging.INFO)
    server.fault("GET", answering(200, headers=[ETAG], body=b"something"))
    assert not manager.fetch("bucket", "key").verified
    assert "verified" not in caplog.text
