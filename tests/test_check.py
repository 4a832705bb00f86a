"""Tests each finding of the check: green on a good store, and red by a real cause."""

import contextlib
import datetime
import http.client
import http.server
import re
import socket
import socketserver
import ssl
import threading
import uuid
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import trustme
from local_store import ADMIN, READER, WRITER, admin_client

from cdn_check import check
from cdn_manager import CDNCredentials

RIGHTS = ["uploader writes", "uploader cannot read", "downloader reads", "downloader cannot write"]
ABILITIES = ["metadata", "ranges", "If-Match", "If-None-Match"]


@pytest.fixture(autouse=True)
def working_directory(folder):
    """Everything here looks at the disk of an empty directory."""


def findings_of(credentials, *names):
    """Return the findings by name."""
    return {finding.name: finding for finding in check(credentials, *names)}


def states(found):
    return {name: finding.state for name, finding in found.items()}


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class AlteringProxy(http.server.ThreadingHTTPServer):
    """Stands before a store, leaves out headers of requests and answers, sets others, and refuses methods.

    A request whose path matches ``unanswered`` is passed on, and its answer is lost.

    The store must be one that checks no signatures, since these cover most headers.
    """

    daemon_threads = True

    def __init__(self, store, without=(), answers_without=(), answers_with=None, refused=(), unanswered=None):
        super().__init__(("127.0.0.1", 0), _Alter)
        self.store = urlsplit(store).netloc
        self.without = without
        self.answers_without = answers_without
        self.answers_with = answers_with or {}
        self.refused = refused
        self.unanswered = unanswered


class _Alter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command in self.server.refused:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in self.server.without}
        store = http.client.HTTPConnection(self.server.store)
        store.request(self.command, self.path, body, headers)
        answer = store.getresponse()
        content = answer.read()
        store.close()
        if self.server.unanswered and re.search(self.server.unanswered, self.path):
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        sent = {
            name: value for name, value in answer.getheaders()
            if name.lower() not in self.server.answers_without and name.lower() != "transfer-encoding"
        } | self.server.answers_with  # fmt: skip
        sent.setdefault("Content-Length", str(len(content)))
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_one


@pytest.fixture
def altered_store(moto_url):
    """A function that returns the credentials of a store behind a proxy that alters what passes."""
    with contextlib.ExitStack() as stack:

        def start(**alterations):
            address = stack.enter_context(serving(AlteringProxy(moto_url, **alterations)))
            return CDNCredentials(f"http://{address}", *READER, *WRITER)

        yield start


# The way to the store


@pytest.mark.portable
def test_host_without_an_address_is_red():
    found = findings_of(CDNCredentials("https://nothing.invalid", *READER), "models")
    assert states(found) == {"host resolves": "failed", "store": "skipped", "disk": "ok"}
    assert "nothing.invalid" in found["host resolves"].text


@pytest.mark.portable
def test_port_where_nothing_listens_is_red():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = findings_of(CDNCredentials(f"http://127.0.0.1:{unused.getsockname()[1]}", *READER))
    assert found["connects"].state == "failed"


@pytest.mark.portable
def test_proxy_that_cannot_be_reached_is_named(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hidden@127.0.0.1:{unused.getsockname()[1]}")
        found = findings_of(CDNCredentials("http://cdn.example.com", *READER))
    assert found["connects"].state == "failed"
    assert "the proxy 127.0.0.1" in found["connects"].text
    assert "hidden" not in str(found)


@pytest.mark.portable
def test_store_behind_a_proxy_answers(monkeypatch, moto_url):
    monkeypatch.setenv("HTTP_PROXY", moto_url)  # it takes absolute addresses, as a proxy does
    found = findings_of(CDNCredentials("http://cdn.example.com", *READER))
    assert found["answers"].state == "ok"


class DemandingProxy(socketserver.ThreadingTCPServer):
    """Passes on to ``store`` what comes for any host, from those who know the password: 's3:cret'."""

    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            line, *fields = [*iter(lambda: self.rfile.readline().rstrip(), b"")] or [b""]
            if not line:  # only whether somebody listens here
                return
            if b"Proxy-Authorization: Basic dXNlcjpzMzpjcmV0" not in fields:  # the client's own spelling
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(self.server.store) as store:
                if line.startswith(b"CONNECT"):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                else:
                    store.sendall(b"\r\n".join([line, *fields, b"Connection: close", b"", b""]))
                back = threading.Thread(target=self.pass_on, args=(store, self.connection))
                back.start()
                self.pass_on(self.connection, store)
                back.join()

        def pass_on(self, source, target):
            with contextlib.suppress(OSError):
                while block := source.recv(65536):
                    target.sendall(block)
                target.shutdown(socket.SHUT_WR)

    def __init__(self, store):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.store = ("127.0.0.1", int(store.rpartition(":")[2]))


@pytest.fixture
def https_store(monkeypatch, tmp_path):
    """The port of a server with a certificate for cdn.example.com, whose authority is known here."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    not_after = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=7)
    with serving(TLSServer(authority, "cdn.example.com", not_after)) as address:
        yield address


@pytest.mark.portable
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_store_behind_a_proxy_that_demands_a_password_is_reached_with_it(monkeypatch, request, moto_url, scheme):
    store = moto_url if scheme == "http" else request.getfixturevalue("https_store")
    with serving(DemandingProxy(store)) as address:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:s3%3Acret@{address}")
        found = findings_of(CDNCredentials(f"{scheme}://cdn.example.com", *READER))
    assert found["answers"].state == "ok"
    assert "failed" not in states(found).values()


@pytest.mark.portable
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_refuses_the_password_is_named_and_the_password_is_not(monkeypatch, request, moto_url, scheme):
    store = moto_url if scheme == "http" else request.getfixturevalue("https_store")
    with serving(DemandingProxy(store)) as address:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:hidden@{address}")
        found = findings_of(CDNCredentials(f"{scheme}://cdn.example.com", *READER), "models")
    assert found["answers"].state == "failed"
    assert "the proxy 127.0.0.1: " in found["answers"].text
    assert "407" in found["answers"].text
    assert found["store"].state == "skipped"
    assert "hidden" not in str(found)


@pytest.mark.portable
@pytest.mark.parametrize("url", ["http://user:hid/den@proxy:80", "http://", "proxy:port"])
def test_proxy_variable_that_holds_no_url_is_red_and_its_value_not_told(monkeypatch, url):
    monkeypatch.setenv("HTTPS_PROXY", url)
    finding = findings_of(CDNCredentials("https://cdn.example.com", *READER))["host resolves"]
    assert (finding.state, finding.text) == ("failed", "the proxy variables hold no URL for https")
    assert "HTTPS_PROXY" in finding.advice


@pytest.mark.portable
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "of something else"])
def test_ca_bundle_that_is_none_is_red_and_named(monkeypatch, tmp_path, moto_url, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    finding = findings_of(CDNCredentials(moto_url.replace("http:", "https:"), *READER))["TLS"]
    assert finding.state == "failed"
    assert repr(str(bundle)) in finding.text


@pytest.mark.portable
def test_server_of_another_protocol_is_red():
    class Mail(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 mail.example.com ESMTP\r\n")
            self.rfile.readline()

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)) as address:
        found = findings_of(CDNCredentials(f"http://{address}", *READER))
    assert found["answers"].state == "failed"


class TLSServer(http.server.ThreadingHTTPServer):
    """Answers every request over TLS with a certificate for ``name``."""

    daemon_threads = True

    def __init__(self, authority, name, not_after):
        class Answer(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(403)
                self.end_headers()

        super().__init__(("127.0.0.1", 0), Answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        not_before = not_after - datetime.timedelta(days=30)
        authority.issue_cert(name, not_before=not_before, not_after=not_after).configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_):
        pass  # a client that refuses the certificate


def tls_finding(monkeypatch, tmp_path, name="127.0.0.1", days=7, known=True, host="127.0.0.1"):
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    (authority if known else trustme.CA()).cert_pem.write_to_path(bundle)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    # Half a day more, so that the days are the same when the test is slow.
    not_after = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=6)
    with serving(TLSServer(authority, name, not_after)) as address:
        return findings_of(CDNCredentials(f"https://{address.replace('127.0.0.1', host)}", *READER))["TLS"]


@pytest.mark.portable
def test_valid_certificate_is_green_and_its_end_is_told(monkeypatch, tmp_path):
    finding = tls_finding(monkeypatch, tmp_path)
    assert finding.state == "ok"
    assert finding.text.endswith(", 7 days more")


@pytest.mark.portable
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"days": -1}, "the certificate has expired"),
        ({"days": 40}, "the certificate is not valid yet"),
        ({"known": False}, "the certificate's CA is not known here"),
        ({"name": "cdn.example.com"}, "the certificate is for another address"),
        ({"name": "cdn.example.com", "host": "localhost"}, "the certificate is for another host"),
    ],
    ids=["expired", "not valid yet", "unknown CA", "another address", "another host"],
)
def test_bad_certificate_is_red_and_says_why(monkeypatch, tmp_path, fault, text):
    finding = tls_finding(monkeypatch, tmp_path, **fault)
    assert (finding.state, finding.text) == ("failed", text)
    assert finding.advice


@pytest.mark.portable
def test_self_signed_certificate_is_red_and_says_so(monkeypatch, tmp_path):
    certificate = trustme.CA()  # an authority's own is signed by itself

    class Own:
        def issue_cert(self, *_, **__):
            return self

        def configure_cert(self, context):
            path = tmp_path / "own.pem"
            certificate.private_key_pem.write_to_path(path)
            certificate.cert_pem.write_to_path(path, append=True)
            context.load_cert_chain(path)

    with serving(TLSServer(Own(), "127.0.0.1", datetime.datetime.now(datetime.UTC))) as address:
        finding = findings_of(CDNCredentials(f"https://{address}", *READER))["TLS"]
    assert (finding.state, finding.text) == ("failed", "the certificate is self-signed")
    assert "AWS_CA_BUNDLE" in finding.advice


@pytest.mark.portable
def test_server_without_tls_is_red(moto_url):
    found = findings_of(CDNCredentials(moto_url.replace("http:", "https:"), *READER))
    assert found["TLS"].state == "failed"


@pytest.mark.portable
@pytest.mark.parametrize(("hours", "direction"), [(-2, "ahead of"), (2, "behind")])
def test_skewed_clock_is_red(altered_store, hours, direction):
    there = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    date = there.strftime("%a, %d %b %Y %H:%M:%S GMT")
    finding = findings_of(altered_store(answers_with={"Date": date}, answers_without={"date"}))["clock"]
    assert finding.state == "failed"
    assert direction in finding.text


@pytest.mark.portable
def test_clock_of_a_store_that_tells_no_time_is_not_judged(altered_store):
    assert findings_of(altered_store(answers_without={"date"}))["clock"].state == "skipped"


# What the store can do


@pytest.mark.portable
def test_able_store_is_green_behind_a_proxy_that_alters_nothing(altered_store, moto_bucket):
    found = findings_of(altered_store(), moto_bucket)
    assert {name: found[name].state for name in ABILITIES} == dict.fromkeys(ABILITIES, "ok")


@pytest.mark.portable
@pytest.mark.parametrize(
    ("name", "alteration"),
    [
        ("metadata", {"without": {"x-amz-meta-sha256"}}),
        ("metadata", {"answers_without": {"x-amz-meta-sha256"}}),
        ("ranges", {"without": {"range"}}),
        ("If-Match", {"without": {"if-match"}}),
        ("If-None-Match", {"without": {"if-none-match"}}),
    ],
    ids=["metadata not stored", "metadata not told", "ranges", "If-Match", "If-None-Match"],
)
def test_what_a_proxy_takes_away_is_red_and_the_rest_green(altered_store, moto_bucket, name, alteration):
    found = findings_of(altered_store(**alteration), moto_bucket)
    expected = dict.fromkeys(ABILITIES, "ok") | {name: "failed"}
    assert {ability: found[ability].state for ability in ABILITIES} == expected
    assert found[name].advice


@pytest.mark.portable
def test_object_that_is_larger_than_the_disk_is_red(altered_store, moto_bucket, moto_url):
    admin = admin_client(moto_url)
    admin.put_object(Bucket=moto_bucket, Key="huge", Body=b"x")
    admin.close()
    credentials = altered_store(answers_without={"content-length"}, answers_with={"Content-Length": str(1 << 60)})
    reader = CDNCredentials(credentials.host, *READER)
    # Only the object's own length matters: the listing would be as long.
    finding = findings_of(reader, moto_bucket, "huge")["disk"]
    assert finding.state == "failed"


@pytest.mark.portable
def test_key_is_read_and_measured_beside_what_the_check_writes(altered_store, moto_bucket, moto_url, monkeypatch):
    admin = admin_client(moto_url)
    admin.put_object(Bucket=moto_bucket, Key="model", Body=b"x" * 5000)
    admin.close()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4000))
    found = findings_of(altered_store(), moto_bucket, "model")
    assert found["downloader reads KEY"].text == "'model' has 5.0 kB"
    assert (found["disk"].state, found["disk"].text) == ("failed", "4.0 kB free for an object of 5.0 kB")
    assert {name: found[name].state for name in ABILITIES} == dict.fromkeys(ABILITIES, "ok")


@pytest.mark.portable
def test_key_of_nothing_is_red_beside_what_the_check_writes(altered_store, moto_bucket):
    found = findings_of(altered_store(), moto_bucket, "nonsense")
    assert found["downloader reads"].state == "ok"
    assert found["downloader reads KEY"].state == "failed"
    assert "'nonsense'" in found["downloader reads KEY"].text


@pytest.mark.portable
def test_object_that_cannot_be_removed_is_named(altered_store, moto_bucket, moto_url):
    finding = findings_of(altered_store(refused={"DELETE"}), moto_bucket)["removed"]
    admin = admin_client(moto_url)
    left = {entry["Key"] for entry in admin.list_objects_v2(Bucket=moto_bucket)["Contents"]}
    admin.close()
    assert finding.state == "skipped"
    assert left == set(finding.text.partition(": ")[2].split(", "))


@pytest.mark.portable
def test_object_of_the_downloader_whose_answer_was_lost_is_removed(altered_store, moto_bucket, moto_url):
    found = findings_of(altered_store(unanswered="-2$"), moto_bucket)
    assert found["downloader cannot write"].state == "skipped"
    admin = admin_client(moto_url)
    left = [entry["Key"] for entry in admin.list_objects_v2(Bucket=moto_bucket).get("Contents", ())]
    admin.close()
    assert left == []


@pytest.mark.portable
def test_check_that_is_given_up_says_what_it_could_not_remove(altered_store, moto_bucket, log_lines):
    findings = check(altered_store(refused={"DELETE"}), moto_bucket)
    while next(findings).name != "uploader writes":
        pass
    findings.close()
    assert re.search(f"left in '{moto_bucket}': cdn-check-", log_lines()[-1])


@pytest.mark.portable
def test_check_that_is_given_up_removes_what_it_wrote(altered_store, moto_bucket, moto_url):
    findings = check(altered_store(), moto_bucket)
    for finding in findings:
        if finding.name == "uploader writes":
            break
    findings.close()
    admin = admin_client(moto_url)
    assert admin.list_objects_v2(Bucket=moto_bucket)["KeyCount"] == 0
    admin.close()


# What the keys may do, on a store that refuses


@pytest.fixture
def is_empty(admin, bucket):
    yield
    assert admin.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.usefixtures("is_empty")
def test_good_keys_on_a_good_store_are_all_green(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, *WRITER), bucket)
    assert set(states(found).values()) == {"ok"}
    assert set(RIGHTS + ABILITIES) < set(found)


@pytest.mark.usefixtures("is_empty")
def test_wrong_secret_of_the_downloader_is_red(store, bucket):
    found = findings_of(CDNCredentials(store.url, READER[0], "wrong", *WRITER), bucket)
    assert found["downloader reads"].state == "failed"
    assert "SignatureDoesNotMatch" in found["downloader reads"].text
    assert found["downloader cannot write"].state == "skipped"  # it is refused, but not for want of the right
    assert found["uploader writes"].state == "ok"


def test_wrong_secret_of_an_edge_machine_is_red_without_an_object_to_read(store, bucket):
    finding = findings_of(CDNCredentials(store.url, READER[0], "wrong"), bucket)["bucket"]
    assert finding.state == "failed"
    assert "SignatureDoesNotMatch" in finding.text


def test_wrong_secret_of_the_uploader_is_red(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, WRITER[0], "wrong"), bucket)
    assert found["uploader writes"].state == "failed"
    assert "SignatureDoesNotMatch" in found["uploader writes"].text


def test_unknown_key_is_red(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, "nobody", "nobody-secret"), bucket)
    assert found["uploader writes"].state == "failed"
    assert "InvalidAccessKeyId" in found["uploader writes"].text


@pytest.mark.usefixtures("is_empty")
def test_downloader_that_may_write_is_red(store, bucket):
    found = findings_of(CDNCredentials(store.url, *ADMIN, *WRITER), bucket)
    assert found["downloader cannot write"].state == "failed"
    assert {name for name, state in states(found).items() if state != "ok"} == {"downloader cannot write"}


@pytest.mark.usefixtures("is_empty")
def test_uploader_that_may_read_is_red(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, *ADMIN), bucket)
    assert {name for name, state in states(found).items() if state != "ok"} == {"uploader cannot read"}


def test_exchanged_keys_are_red(store, bucket):
    found = findings_of(CDNCredentials(store.url, *WRITER, *READER), bucket)
    assert found["uploader writes"].state == "failed"
    assert found["downloader cannot write"].state == "failed"


def test_wrong_bucket_is_red_and_ends_the_check(store):
    found = findings_of(CDNCredentials(store.url, *READER, *WRITER), f"no-{uuid.uuid4().hex[:12]}")
    assert found["bucket"].state == "failed"
    assert not set(RIGHTS) & set(found)


def test_edge_machine_without_a_key_to_read_cannot_be_judged(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER), bucket)
    assert {name: found[name].state for name in RIGHTS} == {
        "uploader writes": "skipped",
        "uploader cannot read": "skipped",
        "downloader reads": "skipped",
        "downloader cannot write": "ok",
    }


def test_edge_machine_is_judged_by_the_object_it_names(store, bucket, manager):
    manager.store(bucket, "model.bin", b"weights")
    found = findings_of(CDNCredentials(store.url, *READER), bucket, "model.bin")
    names = ["downloader reads", "metadata", "ranges", "If-Match"]
    assert {name: found[name].state for name in names} == dict.fromkeys(names, "ok")


def test_object_that_is_not_there_is_red(store, bucket):
    finding = findings_of(CDNCredentials(store.url, *READER), bucket, "nothing")["downloader reads"]
    assert finding.state == "failed"
    assert "NoSuchKey" in finding.text


def test_publisher_without_a_read_key_is_judged_by_what_it_writes(store, bucket):
    found = findings_of(CDNCredentials(store.url, None, None, *WRITER), bucket)
    assert {name: found[name].state for name in RIGHTS} == {
        "uploader writes": "ok",
        "uploader cannot read": "ok",
        "downloader reads": "skipped",
        "downloader cannot write": "skipped",
    }
    assert found["If-None-Match"].state == "ok"
