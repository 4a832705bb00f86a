"""One object behind a URL that needs no key: a presigned one, or that of a public object."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

from cdn_engine.download.answer import Answer
from cdn_engine.download.remote import RemoteObject
from cdn_engine.errors import URLRefusedError
from cdn_engine.host import objection_to
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.keys import EXPIRED, Hidden
from cdn_engine.wire.store import Store

__all__ = ["PresignedObject", "host_of", "key_of", "objection_to_url"]

_HEADERS = {"Range": "Range", "IfMatch": "If-Match"}
_NEVER_IN_A_URL = frozenset(" #")  # as it is sent: a fragment is for browsers, or part of a key that is not encoded
_REFUSED = frozenset({400, 401, 403})


def objection_to_url(url: str) -> str | None:
    """Return why a URL cannot be downloaded from, without repeating it; None if it can, as far as one can see."""
    try:
        objection = objection_to(host_of(url))
    except ValueError:
        objection = ""
    is_encoded = url.isascii() and url.isprintable() and _NEVER_IN_A_URL.isdisjoint(url)
    if objection is not None or not is_encoded or not key_of(url):
        return "the URL must be whole and encoded, without a user name: 'https://HOST/BUCKET/KEY?X-Amz-...'"
    query = parse_qs(url.partition("?")[2])
    headers = [name for one in ("X-Amz-SignedHeaders", "X-Goog-SignedHeaders") for name in query.get(one, ())]
    if any(name != "host" for name in headers):
        return "the URL was signed for requests with certain headers: get one that needs none but Host"
    return None


def host_of(url: str) -> str:
    """Return the endpoint of a URL: what comes before its path."""
    parts = urlsplit(url.partition("?")[0])
    return f"{parts.scheme}://{parts.netloc}"


def key_of(url: str) -> str:
    """Return the path of a URL, decoded: a key, or a bucket and a key."""
    return unquote(urlsplit(url.partition("?")[0]).path).strip("/")


class PresignedObject(RemoteObject):
    """An object, by URL. No message, journal or traceback shows the query, which gives access to it.

    Args:
        store: The store at the URL's host, without keys.
        url: The URL.

    Thread-safety: safe.
    """

    def __init__(self, store: Store, url: str) -> None:
        super().__init__(store, store.url.partition("://")[2], key_of(url), {})
        self.credential = "with a URL"
        self._url = Hidden(url)

    def identity(self) -> dict[str, Any]:
        """Return what tells this object from others in a journal; a new URL for it has the same."""
        path, _, query = self._url.partition("?")
        return {"url": path, "version": parse_qs(query).get("versionId")}

    def _call(self, operation: str, attempt: Attempt, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._stat(attempt) if operation == "HeadObject" else self._get(attempt, arguments)
        except ClientError as error:
            if retry.status_of(error) not in _REFUSED:
                raise
            answer = error.response["Error"]
            said = f"{retry.status_of(error)} {answer['Code']}: {answer.get('Message')}"
            if answer["Code"] in EXPIRED or "expired" in said.lower():
                problem = "the URL has expired"
            else:
                problem = "the URL is not accepted"
            raise URLRefusedError(f"{problem} ({said}): get a new one; with it, the same download resumes") from None

    def _get(self, attempt: Attempt, arguments: dict[str, Any]) -> dict[str, Any]:
        headers = {_HEADERS[name]: value for name, value in arguments.items()}
        return self._store.get(self._url, headers, attempt)

    def _stat(self, attempt: Attempt) -> dict[str, Any]:
        """Ask for one byte in place of the metadata: the method is signed too, and HEAD would be another."""
        try:
            answer = self._get(attempt, {"Range": "bytes=0-0"})
        except ClientError as error:
            if retry.status_of(error) != 416:
                raise
            answer = self._get(attempt, {})  # it is empty
        answer.pop("Body").close()
        answer["ContentLength"] = Answer.of(answer).total
        return {name: value for name, value in answer.items() if value is not None}
