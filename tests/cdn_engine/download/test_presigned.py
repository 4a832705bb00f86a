"""``fetch_url``: the same download with a presigned URL, or that of a public object, and without any key."""

import http.server
import threading
from urllib.parse import quote, urlsplit

import pytest
from botocore.config import Config
from downloads import IMPATIENT
from fault_proxy import Cut, Fault
from objects import PART, SAMPLE_SIZE, is_whole, payload_of, put, sha256_of, unfinished_files
from scripted_server import ScriptedServer, answering
from tracebacks import secrets_shown

from cdn_engine.download.presigned import PresignedObject
from cdn_manager import TRANSFER_ERRORS, IntegrityError, NotAStoreError, URLRefusedError, fetch_url

portable = pytest.mark.portable

SIGNED = "http://127.0.0.1:9/models/key?X-Amz-Signature=a-secret+that%2Fis%2Blong%3D&X-Amz-SignedHeaders=host"


@pytest.fixture
def presign(connect):
    """A function that returns a presigned URL, which leads through ``link``."""
    client = connect().download_client
    return lambda bucket, key, seconds=3600: client.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
    )


def query_of(url):
    return urlsplit(url).query


def expired(_):
    """Return a store's answer to a URL that has expired."""
    body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def breaking_after(count):
    """Return a fault's body that ends after so many bytes."""

    def body(_, blocks):
        left = count
        for block in blocks:
            yield block[:left]
            left -= len(block)
            if left <= 0:
                raise Cut

    return body


def test_object_is_downloaded_and_verified(presign, samples, link, folder):
    counts, url = [], presign(samples, "with-digest")
    result = fetch_url(url, "file", progress=counts.append)
    assert is_whole(folder / "file")
    assert (result.size, result.verified_by, sum(counts)) == (SAMPLE_SIZE, "sha256", SAMPLE_SIZE)
    assert (result.bucket, result.key) == (urlsplit(link.url).netloc, f"{samples}/with-digest")
    assert {request.method for request in link.requests} == {"GET"}
    assert unfinished_files(folder) == []


def test_large_object_comes_over_several_connections(admin, presign, samples, link, folder):
    put(admin, samples, "large", payload_of(20 << 20))
    link.rate = 2 << 20
    assert fetch_url(presign(samples, "large"), "file").verified
    assert (folder / "file").read_bytes() == payload_of(20 << 20)
    assert link.connections > 1


@pytest.mark.parametrize("key", ["with-digest", "without-digest"])
def test_download_resumes_with_a_new_url(key, presign, samples, link, folder):
    link.rate = 4 << 20
    received = 0

    def progress(count):
        nonlocal received
        received += count
        if received >= 2 * PART:
            raise KeyboardInterrupt

    old = presign(samples, key)
    with pytest.raises(KeyboardInterrupt):
        fetch_url(old, "file", progress=progress)
    assert query_of(old) not in "".join(path.read_text("latin-1") for path in folder.rglob(".cdn-*.journal"))
    new = presign(samples, key, 1800)
    assert query_of(new) != query_of(old)
    assert fetch_url(new, "file").resumed_from >= 2 * PART
    assert is_whole(folder / "file")


@pytest.mark.parametrize("key", ["with-digest", "without-digest"])
def test_file_that_is_there_is_not_downloaded_again(key, presign, samples, link, folder):
    fetch_url(presign(samples, key), "file")
    before = link.bytes_sent
    assert fetch_url(presign(samples, key), "file").skipped
    assert link.bytes_sent - before <= 1  # the signature does not permit HEAD


@pytest.mark.parametrize("content", [b"", b"x"], ids=["empty", "one-byte"])
def test_tiny_object_is_downloaded_and_then_recognized(content, admin, presign, samples, link, folder):
    put(admin, samples, "tiny", content)
    for skipped in (False, True):
        assert fetch_url(presign(samples, "tiny"), "file").skipped is skipped
        assert (folder / "file").read_bytes() == content


@portable
def test_other_version_of_the_object_is_another_download(moto_manager):
    """A version is named in the query, and is no secret."""
    store = moto_manager.download_client.store
    urls = [f"{store.url}/bucket/key?versionId={version}&X-Amz-Signature={s}" for version in "12" for s in "ab"]
    first, again, *others = [PresignedObject(store, url).identity() for url in urls]
    assert first == again
    assert first not in others


def test_wrong_digest_is_not_installed(presign, samples, link, folder):
    with pytest.raises(IntegrityError, match=f"{samples}/with-digest"):
        fetch_url(presign(samples, "with-digest"), "file", sha256="0" * 64)
    assert not (folder / "file").exists()


def test_expired_url_says_so_and_keeps_what_has_arrived(presign, samples, link, folder):
    url = presign(samples, "with-digest")
    link.rate = 4 << 20
    link.inject(Fault(answer=expired, times=None, when=lambda _: len(link.gets) > 1))
    link.inject(Fault(body=breaking_after(3 * PART)))
    with pytest.raises(URLRefusedError, match=r"the URL has expired .* get a new one") as caught:
        fetch_url(url, "file", config=IMPATIENT)
    link.faults.clear()
    assert secrets_shown(caught.value, query_of(url)) == []
    assert fetch_url(presign(samples, "with-digest", 1800), "file").resumed_from > 0
    assert is_whole(folder / "file")


def test_mangled_url_is_refused_without_being_shown(presign, samples):
    url = presign(samples, "with-digest")
    with pytest.raises(URLRefusedError, match="the URL is not accepted") as caught:
        fetch_url(f"{url}0", "file")
    assert secrets_shown(caught.value, query_of(url)) == []


# Any server


@pytest.fixture
def web(folder, tmp_path):
    """A plain web server, which knows no ranges, and serves one file."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a b.bin").write_bytes(payload_of(SAMPLE_SIZE))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "site"))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@portable
def test_public_file_of_a_web_server_is_downloaded(web, folder):
    digest = fetch_url(f"{web}/a%20b.bin", "file").sha256
    assert digest is None
    assert is_whole(folder / "file")
    assert fetch_url(f"{web}/a%20b.bin", "pinned", sha256=sha256_of(folder / "file")).verified


@portable
def test_redirect_is_refused(folder):
    with ScriptedServer() as server:
        server.fault("GET", answering(302, headers=[("Location", "http://127.0.0.1:9/x")]))
        with pytest.raises(NotAStoreError, match=r"redirects to http://127\.0\.0\.1:9"):
            fetch_url(f"{server.url}/models/key?X-Amz-Signature=a-secret", "file")
        assert len(server.requests) == 1


# What no URL may look like, and what nobody may see


@portable
@pytest.mark.parametrize(
    "url",
    ["", "models/key", "ftp://host/key?a-secret", "https://host?a-secret", "https://host/?a-secret", "http://[::1/a-secret",
     "https://user:a-secret@host/key", "https://host/a b?a-secret", "https://host/ü?a-secret", "https://host:x/k?a-secret",
     "https://host/key\n?a-secret", "https://host/a#b?a-secret", "https://host/key?a-secret#b"],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_whole_url_is_a_value_error_that_does_not_show_it(url, folder):
    with pytest.raises(ValueError, match="the URL must be whole") as caught:
        fetch_url(url, "file")
    assert secrets_shown(caught.value, "a-secret") == []


@portable
@pytest.mark.parametrize("name", ["X-Amz-SignedHeaders", "X-Goog-SignedHeaders"])
def test_url_that_is_signed_with_headers_is_a_value_error(name, folder):
    with pytest.raises(ValueError, match="needs none but Host"):
        fetch_url(f"http://127.0.0.1:9/models/key?{name}=host%3Bx-amz-expected-bucket-owner", "file")


@portable
@pytest.mark.parametrize("argument", [{"sha256": "abc"}, {"deadline": 0}], ids=["sha256", "deadline"])
def test_wrong_argument_is_a_value_error(argument, folder):
    with pytest.raises(ValueError, match=next(iter(argument))):
        fetch_url(SIGNED, "file", **argument)


@portable
@pytest.mark.parametrize("broken", ["no-connection", "reset", "no-http", "page", "404", "echo", "echo-encoded"])
def test_no_failure_shows_the_query(broken, folder, monkeypatch, log_lines):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 2)
    with ScriptedServer() as server:
        faulty = {
            "reset": lambda exchange: exchange.reset(),
            "no-http": lambda exchange: exchange.connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"),
            "page": answering(200, headers=[("Content-Type", "text/html")], body=b"<html>login</html>"),
            "404": answering(404, "NoSuchKey"),
            "echo": answering(403, body=f"<html><title>no {SIGNED}</title></html>".encode()),
            "echo-encoded": answering(404, body=f"not found: {quote(SIGNED)}".encode()),
        }.get(broken)
        server.fault("GET", faulty, faulty)
        url = SIGNED if faulty is None else SIGNED.replace("http://127.0.0.1:9", server.url)
        with pytest.raises(TRANSFER_ERRORS) as caught:
            fetch_url(url, "file", config=Config(connect_timeout=5, read_timeout=5))
    assert secrets_shown(caught.value, "a-secret") == []
    assert "a-secret" not in "".join(log_lines())
