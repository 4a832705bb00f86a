"""Recognizes a web page where a store should answer, and reads what it says."""

import html
import re
from typing import Any

__all__ = ["is_web_page", "looks_like_html", "words_of"]

_START = 4096  # bytes of a page that are read; its title is there
_LONGEST = 200  # characters

_TITLE = re.compile(r"<title[^<>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_INVISIBLE = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1[^<>]*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")


def is_web_page(answer: dict[str, Any], key: str) -> bool:
    """Return True if the answer to a ``GetObject`` is the page of a console, a login or a web server, not the object.

    Args:
        answer: What boto3 returns. Stores send a header of their own; an ETag proves nothing, as web servers send it.
        key: The object's key: one that ends in ``.html`` may well be HTML.
    """
    kind = (answer.get("ContentType") or "").partition(";")[0].strip().lower()
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return (
        kind in ("text/html", "application/xhtml+xml")
        and not key.lower().endswith((".html", ".htm", ".xhtml"))
        and not any(name.startswith(("x-amz-", "x-goog-")) for name in headers)
    )


def looks_like_html(body: bytes) -> bool:
    """Return True if a body that should be S3's XML is HTML, whatever its content type says."""
    start = body[:_START].lower()
    return b"<html" in start or b"<!doctype html" in start


def words_of(body: bytes) -> str:
    """Return the title of a page, or its text if it has none; or other text. Empty for what is no text."""
    try:
        text = body[:_START].decode()
    except UnicodeDecodeError:
        text = body[:_START].decode("latin-1")
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text)
        found = title[1].strip() if title else ""
        text = html.unescape(found or _TAG.sub(" ", _INVISIBLE.sub(" ", text)))
    words = " ".join(text.split())
    if not words.isprintable():
        return ""
    return words if len(words) <= _LONGEST else words[: _LONGEST - 4] + " ..."
