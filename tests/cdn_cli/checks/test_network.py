"""Tests the findings about the network: each is ok on a good store and fails for a real cause."""

import contextlib
import datetime
import http.server
import socket
import socketserver
import ssl
import threading

import pytest
import trustme
from altering_proxy import serving
from findings import findings_of, states
from local_store import READER

from cdn_manager import CDNCredentials

pytestmark = pytest.mark.portable

# Address and port


def test_host_without_an_address_fails():
    found = findings_of(CDNCredentials("https://nothing.invalid", *READER), "models")
    assert states(found) == {
        "configuration": "ok", "constants": "ok", "host resolves": "failed", "store": "skipped", "disk": "ok",
    }  # fmt: skip
    assert "nothing.invalid" in found["host resolves"].text


def test_host_and_port_are_named_and_not_the_url(monkeypatch):
    monkeypatch.setattr("cdn_cli.checks.route._TIMEOUT", 0.5)  # what follows the connection is not answered
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = findings_of(CDNCredentials(f"https://127.0.0.1:{port}/gateway", *READER))
    assert found["host resolves"].text == "127.0.0.1"
    assert found["connects"].text.startswith(f"127.0.0.1, port {port}, in ")


def test_port_that_nothing_listens_on_fails():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = findings_of(CDNCredentials(f"http://127.0.0.1:{unused.getsockname()[1]}", *READER))
    assert found["connects"].state == "failed"


def test_server_of_another_protocol_fails():
    class Mail(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 mail.example.com ESMTP\r\n")
            self.rfile.readline()

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)) as address:
        found = findings_of(CDNCredentials(f"http://{address}", *READER))
    assert found["answers"].state == "failed"


# Proxy


class DemandingProxy(socketserver.ThreadingTCPServer):
    """Passes requests for any host on to one store, if they carry the password `s3:cret`.

    Args:
        store: The address of the store, ending with `:PORT`.
        tls: An ``ssl.SSLContext``, to speak TLS to the clients.
    """

    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            line, *fields = [*iter(lambda: self.rfile.readline().rstrip(), b"")] or [b""]
            if not line:  # a client that only tried to connect
                return
            if b"Proxy-Authorization: Basic dXNlcjpzMzpjcmV0" not in fields:  # spelled as the client spells it
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

    def __init__(self, store, tls=None):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.store = ("127.0.0.1", int(store.rpartition(":")[2]))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_):
        pass  # a client that only tried to connect


class TLSServer(http.server.ThreadingHTTPServer):
    """Answers every request over TLS, with a certificate for one name."""

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
        pass  # a client that rejects the certificate


@pytest.fixture
def https_store(monkeypatch, tmp_path):
    """The address of a server with a certificate for cdn.example.com from a CA that is trusted here."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    not_after = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=7)
    with serving(TLSServer(authority, "cdn.example.com", not_after)) as address:
        yield address


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


@pytest.fixture
def proxied_store(request, scheme, moto_url):
    """The address of a store for the scheme, to be reached through a proxy."""
    return moto_url if scheme == "http" else request.getfixturevalue("https_store")


def test_unreachable_proxy_is_named_without_its_password(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hidden@127.0.0.1:{unused.getsockname()[1]}")
        found = findings_of(CDNCredentials("http://cdn.example.com", *READER))
    assert found["connects"].state == "failed"
    assert "the proxy 127.0.0.1" in found["connects"].text
    assert "hidden" not in str(found)


def test_store_behind_a_proxy_answers(monkeypatch, moto_url):
    monkeypatch.setenv("HTTP_PROXY", moto_url)  # moto accepts absolute URLs, as a proxy does
    found = findings_of(CDNCredentials("http://cdn.example.com", *READER))
    assert found["answers"].state == "ok"


def test_store_behind_a_proxy_is_reached_with_the_proxy_password(monkeypatch, scheme, proxied_store):
    with serving(DemandingProxy(proxied_store)) as address:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:s3%3Acret@{address}")
        found = findings_of(CDNCredentials(f"{scheme}://cdn.example.com", *READER))
    assert found["answers"].state == "ok"
    assert "failed" not in states(found).values()


def test_store_behind_a_proxy_that_speaks_tls_answers(monkeypatch, tmp_path, scheme, proxied_store):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem", append=True)  # beside the store's own
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    with serving(DemandingProxy(proxied_store, context)) as address:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"https://user:s3%3Acret@{address}")
        found = findings_of(CDNCredentials(f"{scheme}://cdn.example.com", *READER))
    assert found["answers"].state == "ok"
    assert "failed" not in states(found).values()


def test_proxy_that_rejects_the_password_is_named_without_it(monkeypatch, scheme, proxied_store):
    with serving(DemandingProxy(proxied_store)) as address:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:hidden@{address}")
        found = findings_of(CDNCredentials(f"{scheme}://cdn.example.com", *READER), "models")
    assert found["answers"].state == "failed"
    assert "the proxy 127.0.0.1: " in found["answers"].text
    assert "407" in found["answers"].text
    assert found["store"].state == "skipped"
    assert "hidden" not in str(found)


@pytest.mark.parametrize(
    "url", ["http://user:hid/den@proxy:80", r"http://user:hid\den@proxy:80", "http://", "proxy:port"]
)
def test_proxy_variable_without_a_valid_url_fails_and_its_value_is_not_shown(monkeypatch, url):
    monkeypatch.setenv("HTTPS_PROXY", url)
    finding = findings_of(CDNCredentials("https://cdn.example.com", *READER))["host resolves"]
    assert (finding.state, finding.text) == ("failed", "the proxy for https is no URL with a host")
    assert "HTTPS_PROXY" in finding.advice


# TLS


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "not certificates"])
def test_unusable_ca_bundle_fails_and_is_named(monkeypatch, tmp_path, moto_url, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    finding = findings_of(CDNCredentials(moto_url.replace("http:", "https:"), *READER))["TLS"]
    assert finding.state == "failed"
    assert repr(str(bundle)) in finding.text


def tls_finding(monkeypatch, tmp_path, name="127.0.0.1", days=7, trusted=True, host="127.0.0.1"):
    """Return the finding about a TLS server whose certificate is for `name` and expires in `days`."""
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(bundle)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    # A few hours more, so that a slow test still counts the same days.
    not_after = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=6)
    with serving(TLSServer(authority, name, not_after)) as address:
        return findings_of(CDNCredentials(f"https://{address.replace('127.0.0.1', host)}", *READER))["TLS"]


def test_valid_certificate_is_ok_and_shows_its_remaining_days(monkeypatch, tmp_path):
    finding = tls_finding(monkeypatch, tmp_path)
    assert finding.state == "ok"
    assert finding.text.endswith(", 7 days left")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"days": -1}, "the certificate has expired"),
        ({"days": 40}, "the certificate is not valid yet"),
        ({"trusted": False}, "the certificate's CA is not trusted here"),
        ({"name": "cdn.example.com"}, "the certificate is for another address"),
        ({"name": "cdn.example.com", "host": "localhost"}, "the certificate is for another host"),
    ],
    ids=["expired", "not valid yet", "untrusted CA", "another address", "another host"],
)
def test_bad_certificate_fails_and_says_why(monkeypatch, tmp_path, fault, text):
    finding = tls_finding(monkeypatch, tmp_path, **fault)
    assert (finding.state, finding.text) == ("failed", text)
    assert finding.advice


def test_self_signed_certificate_fails_and_says_so(monkeypatch, tmp_path):
    certificate = trustme.CA()  # a CA's own certificate is self-signed

    class SelfSigned:
        def issue_cert(self, *_, **__):
            return self

        def configure_cert(self, context):
            path = tmp_path / "own.pem"
            certificate.private_key_pem.write_to_path(path)
            certificate.cert_pem.write_to_path(path, append=True)
            context.load_cert_chain(path)

    with serving(TLSServer(SelfSigned(), "127.0.0.1", datetime.datetime.now(datetime.UTC))) as address:
        finding = findings_of(CDNCredentials(f"https://{address}", *READER))["TLS"]
    assert (finding.state, finding.text) == ("failed", "the certificate is self-signed")
    assert "AWS_CA_BUNDLE" in finding.advice


def test_server_without_tls_fails_for_https(moto_url):
    found = findings_of(CDNCredentials(moto_url.replace("http:", "https:"), *READER))
    assert found["TLS"].state == "failed"


# Clock


@pytest.mark.parametrize(("hours", "direction"), [(-2, "ahead of"), (2, "behind")])
def test_skewed_clock_fails(altered_store, hours, direction):
    there = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    date = there.strftime("%a, %d %b %Y %H:%M:%S GMT")
    finding = findings_of(altered_store(answers_with={"Date": date}, answers_without={"date"}))["clock"]
    assert finding.state == "failed"
    assert direction in finding.text


def test_clock_is_skipped_when_the_store_sends_no_date(altered_store):
    assert findings_of(altered_store(answers_without={"date"}))["clock"].state == "skipped"


def test_clock_is_skipped_when_the_answer_comes_from_a_cache(altered_store):
    answer = {"Date": "Wed, 01 Jan 2020 00:00:00 GMT", "Age": "9000"}
    assert findings_of(altered_store(answers_with=answer, answers_without={"date"}))["clock"].state == "skipped"
