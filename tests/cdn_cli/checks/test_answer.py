"""Tests what is said about whatever answers at the store's address."""

import ssl
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import trustme
from findings import findings_of, states
from local_store import READER
from scripted_server import ScriptedServer
from scripted_server import answering as answering_with

from cdn_cli.checks.answer import Answer, judge
from cdn_manager import CDNCredentials

pytestmark = pytest.mark.portable

HTML = {"Content-Type": "text/html; charset=utf-8", "Server": "nginx"}
STORE = urlsplit("http://store.example.com:8333")
XML_ERROR = b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'


def page(title):
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body></body></html>".encode()


def answer(status, headers=None, body=b""):
    return Answer(status, "", headers or {}, body, 0.0)


# A web server


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405])
def test_web_page_is_no_store_and_its_title_is_told(answering, status):
    url = answering(status, HTML, page("Welcome &amp; hello\n  to nginx!"))
    found = findings_of(CDNCredentials(url, *READER), "models")
    assert found["answers"].state == "failed"
    assert f"a web page answers, not a store: status {status}, server nginx" in found["answers"].text
    assert "'Welcome & hello to nginx!'" in found["answers"].text
    assert found["answers"].advice
    assert found["store"].state == "skipped"
    assert "bucket" not in found


@pytest.mark.parametrize(
    "body", [b"<html></html>", b"\n<!-- cached --><!doctype HTML><p>", b'<?xml version="1.0"?><html/>']
)
def test_page_is_recognized_without_a_content_type(body):
    assert judge(answer(200, {}, body), STORE, False).state == "failed"


def test_page_of_a_gateway_says_that_the_store_behind_it_is_down():
    finding = judge(answer(502, HTML, page("502 Bad Gateway")), STORE, False)
    assert finding.state == "failed"
    assert "502 Bad Gateway" in finding.text
    assert finding.advice.startswith("start the store")


def test_page_of_a_proxy_names_the_proxy(answering, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", answering(503, {**HTML, "Server": "squid"}, page("ERROR: Cannot find the host")))
    finding = findings_of(CDNCredentials("http://store.example.com", *READER))["answers"]
    assert finding.state == "failed"
    assert finding.text.startswith("the proxy 127.0.0.1: ")
    assert "squid" in finding.text


def test_proxy_that_reaches_no_store_is_not_called_a_wrong_password(answering, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", answering(502))
    finding = findings_of(CDNCredentials("https://store.example.com", *READER))["answers"]
    assert finding.state == "failed"
    assert "502" in finding.text
    assert "NO_PROXY" in finding.advice
    assert "password" not in finding.advice


def test_page_of_a_store_is_a_warning():
    assert judge(answer(403, {**HTML, "x-amz-request-id": "1"}, page("no")), STORE, False).state == "warning"


def test_page_of_a_website_on_a_cdn_is_no_store():
    assert judge(answer(200, {**HTML, "x-amz-cf-id": "1"}, page("Home")), STORE, False).state == "failed"


@pytest.mark.parametrize(
    "given",
    [
        answer(403, {"Content-Type": "application/xml"}, XML_ERROR),
        answer(403, {"Content-Type": "text/html"}, XML_ERROR),
        answer(200, {}, b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></ListBucketResult>'),
        answer(307, {"Location": "https://example.com", "x-amz-request-id": "1"}),
        answer(200, {"x-amz-id-2": "1"}, b"ok"),
        answer(403),
        answer(503),
    ],
)
def test_answer_of_a_store_is_ok(given):
    assert judge(given, STORE, False).state == "ok"


@pytest.mark.parametrize("status", [200, 404, 405])
def test_answer_that_is_neither_a_page_nor_a_stores_is_a_warning(status):
    assert judge(answer(status, {"Content-Type": "text/plain"}, b"404 page not found"), STORE, False).state == "warning"


JSON = {"Content-Type": "application/json"}


def test_server_without_s3_error_codes_is_not_taken_for_a_store_without_the_bucket(answering):
    found = findings_of(CDNCredentials(answering(404, JSON, b'{"detail": "Not Found"}'), *READER), "models")
    assert found["answers"].state == "warning"
    assert found["bucket"].state == "failed"
    assert "no store" in found["bucket"].text


def test_listing_that_is_none_fails_and_the_root_of_a_gateway_may_be_anything(answering):
    credentials = CDNCredentials(answering(200, JSON, b'{"status": "ok"}'), *READER)
    assert findings_of(credentials, "models")["answers"].state == "failed"
    assert findings_of(credentials)["answers"].state == "warning"


def test_answer_that_never_ends_is_read_for_a_limited_time(monkeypatch):
    monkeypatch.setattr("cdn_cli.checks.answer._PATIENCE", 0)
    endless = SimpleNamespace(status=200, reason="OK", headers={}, read1=lambda _: b"x")
    assert Answer.of(endless).body == b""


# A redirect


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("https://store.example.com/models", "https://store.example.com"),
        ("//other.example.com:9000/models", "http://other.example.com:9000"),
        ("https://user:secret@[2001:db8::1]:8333/", "https://[2001:db8::1]:8333"),
    ],
)
def test_redirect_to_another_address_names_it(location, address):
    finding = judge(answer(301, {**HTML, "Location": location}, page("301 Moved Permanently")), STORE, False)
    assert (finding.state, finding.text) == ("failed", f"it redirects to {address}")
    assert finding.advice.startswith(f"write host: {address}")


def test_redirect_of_a_store_counts_unless_it_leads_from_its_root_or_to_another_region():
    redirect = answer(301, {"Location": "https://store.example.com/models", "x-amz-request-id": "1"})
    assert judge(redirect, STORE, True).text == "it redirects to https://store.example.com"
    assert judge(redirect, STORE, False).state == "ok"
    assert judge(redirect._replace(body=XML_ERROR), STORE, True).state == "ok"


@pytest.mark.parametrize(
    "location", ["/login?next=/", "http://store.example.com:8333/ui", "http://[nonsense", "https:///"]
)
def test_redirect_within_the_same_address_is_a_website(location):
    finding = judge(answer(302, {"Location": location}), STORE, False)
    assert finding.state == "failed"
    assert "a website answers, not a store" in finding.text


def test_redirect_ends_the_check_before_any_request_is_signed(answering):
    found = findings_of(CDNCredentials(answering(301, {"Location": "https://store.example.com/"}), *READER), "models")
    assert found["answers"].advice == "write host: https://store.example.com, if that is the store"
    assert found["store"].state == "skipped"


# The other scheme


def test_port_that_speaks_plain_http_is_told_from_one_that_speaks_no_tls(moto_url):
    finding = findings_of(CDNCredentials(moto_url.replace("http:", "https:"), *READER))["TLS"]
    assert (finding.state, finding.text) == ("failed", "this port speaks plain http, not https")


@pytest.fixture
def tls_port():
    """The address of a server that speaks TLS, with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(tls=context) as server:
        yield urlsplit(server.url).netloc


def test_port_that_speaks_tls_fails_for_http_with_the_right_host(tls_port):
    finding = findings_of(CDNCredentials(f"http://{tls_port}", *READER), "models")["answers"]
    assert (finding.state, finding.advice) == ("failed", f"write host: https://{tls_port}")


def test_bad_request_over_plain_http_is_looked_into(answering):
    # What nginx answers on a port for https; this one does not speak TLS, so that it is only a page.
    url = answering(400, HTML, page("400 The plain HTTP request was sent to HTTPS port"))
    finding = findings_of(CDNCredentials(url, *READER))["answers"]
    assert finding.state == "failed"
    assert "400 The plain HTTP request was sent to HTTPS port" in finding.text


# A page in the place of an object


@pytest.mark.parametrize(("key", "headers", "state"), [
    ("model.bin", HTML, "failed"),
    ("model.bin", {**HTML, "ETag": '"1"'}, "failed"),  # web servers send one as well
    ("model.bin", {**HTML, "x-amz-request-id": "1"}, "ok"),
    ("index.html", HTML, "ok"),
])  # fmt: skip
def test_web_page_in_the_place_of_the_object_fails(key, headers, state):
    with ScriptedServer() as server:
        # The first two are for the unsigned request and the listing.
        server.fault("GET", None, None, answering_with(200, headers=headers.items(), body=page("Log in")))
        found = findings_of(CDNCredentials(server.url, *READER), "models", key)
    assert found["downloader reads"].state == state


# Answers that lack something


def test_answer_without_a_date_or_a_length_ends_nothing(altered_store, moto_bucket, stored):
    stored(model=b"content")
    credentials = altered_store(
        answers_without={"date", "content-length", "etag", "content-type", "last-modified", "content-range"}
        | {"x-amz-meta-sha256"},
        answers_with={"Connection": "close"},
        keeps_length=False,
    )
    found = findings_of(CDNCredentials(credentials.host, *READER), moto_bucket, "model")
    assert found["downloader reads"].text == "'model' can be read; the store does not tell its size"
    assert found["metadata"].text.endswith("without SHA-256 and without ETag: nothing can be verified")
    assert found["ranges"].state == "failed"
    assert not [finding for finding in found.values() if "the test itself failed" in finding.text]
    assert states(found)["clock"] == "skipped"


def test_refusals_without_a_body_end_nothing(answering):
    found = findings_of(CDNCredentials(answering(403), *READER, "writer", "writer-secret"), "models", "key")
    assert not [finding for finding in found.values() if "the test itself failed" in finding.text]
    assert found["disk"].state == "ok"
