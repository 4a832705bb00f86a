"""Recognizes a web page where a store should answer, and reads what it says."""

import html
import re
from collections.abc import Mapping

__all__ = ["is_web_page", "looks_like_html", "words_of"]

_START = 4096  # bytes of a page that are read; its title is there
_LONGEST = 200  # characters

_PAGE_NAME = re.compile(r".*\.x?html?", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^<>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_INVISIBLE = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1[^<>]*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")


def is_web_page(key: str, headers: Mapping[str, str]) -> bool:
    """Return True if the answer to a GET is a web page, and not an object that happens to be HTML.

    Args:
        key: The key of the object that was asked for, which may be a page by its name.
        headers: The answer's headers, by name in lower case. Stores send at least one of their own.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_html = kind in ("text/html", "application/xhtml+xml") and not _PAGE_NAME.fullmatch(key)
    return is_html and not any(name.startswith(("x-amz-", "x-goog-")) for name in headers)


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
