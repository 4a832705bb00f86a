"""What tells a web page from a store's answer, and what it says."""

import pytest

from cdn_engine.wire.web_page import is_web_page, looks_like_html, words_of

pytestmark = pytest.mark.portable


@pytest.mark.parametrize(
    ("kind", "headers", "key", "expected"),
    [
        ("text/html", {}, "model.bin", True),
        ("Text/HTML; charset=utf-8", {"server": "nginx", "etag": "e"}, "model.bin", True),
        ("application/xhtml+xml", {}, "model.bin", True),
        ("text/html", {"x-amz-request-id": "1"}, "model.bin", False),
        ("text/html", {"x-goog-hash": "1"}, "model.bin", False),
        ("text/html", {}, "report.HTML", False),
        ("application/octet-stream", {}, "model.bin", False),
        (None, {}, "model.bin", False),
    ],
)
def test_page_is_html_without_a_header_of_a_store(kind, headers, key, expected):
    answer = {"ContentType": kind, "ResponseMetadata": {"HTTPHeaders": headers}}
    assert is_web_page(answer, key) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"<!DOCTYPE html>", True), (b"  <HTML lang='de'>", True), (b"<?xml version='1.0'?><html>", True),
     (b"<?xml version='1.0'?><Error>", False), (b"", False), (b"\x00" * 5000 + b"<html>", False)],
)  # fmt: skip
def test_html_is_recognized_by_its_start(body, expected):
    assert looks_like_html(body) is expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><head><title>413 Request Entity Too Large</title></head><body>", "413 Request Entity Too Large"),
        (b"<HTML><TITLE lang=en>\n  Log in &amp; go\n</TITLE>", "Log in & go"),
        (b"<html><title></title><h1>No backend</h1><style>h1 {}</style><p>is there", "No backend is there"),
        (b"<html><!-- <p>secret --><script>x = '<p>'</script><p>Down", "Down"),
        (b"<p>unclosed <b tag", "unclosed <b tag"),
        (b'{\n  "error": "quota"\n}', '{ "error": "quota" }'),
        (b"plain\r\ntext", "plain text"),
        ("<title>Größe</title>".encode("latin-1"), "Größe"),
        ("<title>Größe</title>".encode(), "Größe"),
        (b"<title>\x1b[2J</title>", ""),
        (b"\x1f\x8b\x08\x00\x00", ""),
        (b"<html></html>", ""),
        (b"", ""),
        (b"word " * 1000, "word " * 39 + "w ..."),
    ],
)
def test_words_of_a_page_are_its_title_or_its_text(body, words):
    assert words_of(body) == words


@pytest.mark.parametrize("body", [b"<" * 5000, b"<title" * 1000, b"<script" * 1000, b"<!--" * 1500])
def test_hostile_page_is_read_quickly(body):
    words_of(body)
