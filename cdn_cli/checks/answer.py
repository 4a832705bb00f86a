"""Judges the answer to an unsigned request: a store, another web server, or a redirect."""

import contextlib
import html
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3

from cdn_cli.checks.finding import CORRECT_HOST, Finding
from cdn_cli.checks.route import NETWORK_ERRORS

__all__ = ["Answer", "check_clock", "judge"]

_ENOUGH = 64 << 10  # bytes of a page; its title stands at the start
_PATIENCE = 10  # seconds for all of it
_TITLE_LENGTH = 80  # characters

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_STORE = frozenset({200, 404, 405})  # a store has XML for them

# Not those of other services of AWS, such as CloudFront before a website.
_S3_HEADER = re.compile("x-amz-(?!cf-|apigw-)")

# What S3 answers without a signature: an error, or a listing if anyone may list. XHTML starts with <?xml as well.
_S3_XML = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<(Error|ListBucketResult|ListAllMyBucketsResult)\b")
_HTML = re.compile(rb"(?is)\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b")
_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title")

# Beyond this, S3 answers RequestTimeTooSkewed; other stores use the same number.
_SKEW_LIMIT = 900  # seconds


class Answer(NamedTuple):
    """An HTTP answer.

    Attributes:
        status: Its status.
        reason: The text beside the status.
        headers: Its header fields, by name in any case.
        body: The start of its body.
        arrived: When its head arrived, in seconds since 1970.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    arrived: float

    @classmethod
    def of(cls, response: urllib3.BaseHTTPResponse) -> "Answer":
        """Read an answer, and as much of its body as arrives soon."""
        arrived, body = time.time(), b""
        ends = time.monotonic() + _PATIENCE
        with contextlib.suppress(*NETWORK_ERRORS):
            while len(body) < _ENOUGH and time.monotonic() < ends and (block := response.read1(_ENOUGH)):
                body += block
        return cls(response.status, response.reason or "", response.headers, body, arrived)

    @property
    def line(self) -> str:
        """Status and reason."""
        return f"{self.status} {self.reason}".strip()

    @property
    def is_s3(self) -> bool:
        """True if the body is one of S3's."""
        return _S3_XML.match(self.body) is not None

    @property
    def is_from_store(self) -> bool:
        """True if only a store answers like this."""
        return self.is_s3 or any(_S3_HEADER.match(name.lower()) for name in self.headers)

    @property
    def is_page(self) -> bool:
        """True if this is a web page."""
        kind = self.headers.get("Content-Type", "").lower()
        return not self.is_s3 and ("html" in kind or _HTML.match(self.body) is not None)

    @property
    def title(self) -> str:
        """The title of a web page, empty without one."""
        found = _TITLE.search(self.body.decode("utf-8", "replace"))
        return " ".join(html.unescape(found[1]).split())[:_TITLE_LENGTH] if found else ""


def judge(answer: Answer, store: SplitResult, is_listing: bool) -> Finding:
    """Say whether a store has answered.

    Args:
        answer: The answer to an unsigned GET.
        store: The store's URL.
        is_listing: The request asked for the listing of a bucket, and not for the root of the store, where a gateway
            may have something else.
    """
    server = answer.headers.get("Server") or "not named"
    seen = f"status {answer.status}, server {server}"
    location = answer.headers.get("Location")
    # At its root, a store may lead to its website; S3's own redirects to another region have a body that says so.
    if answer.status in _REDIRECTS and location and not (answer.is_s3 if is_listing else answer.is_from_store):
        return _redirect(location, store, seen)
    if answer.is_page:
        return _page(answer, seen)
    if answer.is_from_store or not answer.body.strip() or answer.status not in _NO_STORE:
        return Finding("answers", "ok", seen)
    kind = answer.headers.get("Content-Type") or "no content type"
    state = "failed" if is_listing and answer.status == 200 else "warning"
    return Finding("answers", state, f"this does not look like a store: {seen}, {kind}", CORRECT_HOST)


def _redirect(location: str, store: SplitResult, seen: str) -> Finding:
    try:
        target = urlsplit(urljoin(store.geturl(), location))
        port = f":{target.port}" if target.port else ""
    except ValueError:
        target, port = store, ""
    if not target.hostname or (target.scheme, target.netloc) == (store.scheme, store.netloc):
        return Finding("answers", "failed", f"a website answers, not a store: it redirects to {location!r}; {seen}",
                       CORRECT_HOST)  # fmt: skip
    name = f"[{target.hostname}]" if ":" in (target.hostname or "") else target.hostname
    address = f"{target.scheme}://{name}{port}{store.path.rstrip('/')}"
    return Finding("answers", "failed", f"it redirects to {address}", f"write host: {address}, if that is the store")


def _page(answer: Answer, seen: str) -> Finding:
    seen += f", title {answer.title!r}" if answer.title else ""
    if answer.is_from_store:
        return Finding("answers", "warning", f"a store answers with a web page: {seen}", CORRECT_HOST)
    if answer.status >= 500:
        return Finding("answers", "failed", f"a web server answers in place of the store: {seen}",
                       "start the store behind it, or correct host in the configuration")  # fmt: skip
    return Finding("answers", "failed", f"a web page answers, not a store: {seen}", CORRECT_HOST)


def check_clock(answer: Answer, here: float) -> Finding:
    """Compare the store's clock with this machine's.

    Args:
        answer: An answer of the store.
        here: The time of this machine when the store made it, in seconds since 1970.
    """
    try:
        there = parsedate_to_datetime(answer.headers.get("Date", ""))
        there = there if there.tzinfo else there.replace(tzinfo=UTC)  # "-0000" is UTC too
        difference = round(here - 0.5 - there.timestamp())  # a date is cut off to whole seconds
    except (OverflowError, ValueError):
        return Finding("clock", "skipped", "the store does not send its time")
    if answer.headers.get("Age", "0") != "0":
        return Finding("clock", "skipped", "not tested: the answer came from a cache")
    text = f"this machine's clock is {abs(difference)} s {'ahead of' if difference > 0 else 'behind'} the store's"
    if abs(difference) > _SKEW_LIMIT:
        return Finding("clock", "failed", text, "set the wrong one: the store refuses signed requests")
    return Finding("clock", "ok", text if abs(difference) > 1 else "agrees with the store's")
