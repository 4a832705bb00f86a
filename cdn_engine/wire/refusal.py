"""What an answer says that is no success: a refusal of the store, or that there is no store at all."""

import functools
import http.client
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from cdn_engine.errors import NotAStoreError, printable
from cdn_engine.network_errors import origin_of
from cdn_engine.wire.web_page import looks_like_html, words_of

__all__ = ["BEFORE_XML", "error_of", "raise_if_not_a_store", "register"]

_NOT_MODIFIED = 304

# botocore would ask for the bucket's region, and repeat the request with that. A transfer does not: so that both agree,
# the region is for the user to correct. The first is the answer to HEAD, which has no body to say more.
_WRONG_REGION = frozenset({
    "400", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect",
})  # fmt: skip

BEFORE_XML = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, and white space that keeps a connection alive


def raise_if_not_a_store(
    url: str, status: int, headers: Mapping[str, str], body: bytes | None, wants_xml: bool = False
) -> None:
    """Look at an answer before anybody acts on it.

    Args:
        url: Where the request was sent.
        status: The answer's status.
        headers: Its headers; names in any case.
        body: Its body; None if that is an object, and still to be read.
        wants_xml: True if a body can only be S3's XML.

    Raises:
        NotAStoreError: It is a redirect, or a web page or something else where S3's XML should be.
    """
    if 300 <= status < 400 and status != _NOT_MODIFIED:
        raise NotAStoreError(f"{origin_of(url)} {_redirection(url, status, headers)}")
    if status < 300 and body and looks_like_html(body):
        words = words_of(body)
        said = f": {words!r}" if words else ""
        raise NotAStoreError(f"{origin_of(url)} answers with a web page, as no S3 store does{said}")
    if status < 300 and wants_xml and body and body.strip() and not body.lstrip(BEFORE_XML).startswith(b"<"):
        raise NotAStoreError(f"{origin_of(url)} does not answer in XML, as an S3 store does: {words_of(body)!r}")


def _redirection(url: str, status: int, headers: Mapping[str, str]) -> str:
    location = headers.get("Location")
    if location is None:
        region = headers.get("x-amz-bucket-region")
        hint = f" (the bucket's region is {region})" if region else ""
        return f"answers {status}, a redirect, without an address to go to{hint}: correct host"
    try:
        address = origin_of(urljoin(url, location))
    except ValueError:
        address = ""
    if address.startswith(("http://", "https://")) and address != origin_of(url):
        return f"redirects to {address}: if that is the store, put this address into host"
    page = location.partition("?")[0][:200] if location.startswith("/") else "another page"
    return f"redirects to {page}, as no S3 store does: correct host"


def register(client: Any) -> None:
    """Have the refusals of a boto3 client's requests put into words, before botocore parses them."""
    client.meta.events.register("before-parse.s3", _put_into_words)
    client.meta.events.register_first("needs-retry.s3", functools.partial(_end_in_wrong_region, client.exceptions))


def _end_in_wrong_region(exceptions: Any, response: Any, operation: Any, **_: Any) -> None:
    """Raise a failure that a wrong region causes, before botocore's handlers run."""
    if response is None:
        return
    http_response, parsed = response
    code = parsed.get("Error", {}).get("Code")
    if http_response.status_code >= 300 and code in _WRONG_REGION:
        raise exceptions.from_code(code)(parsed, operation.name)


def _put_into_words(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    status = response_dict["status_code"]
    if status >= 300:
        error = customized_response_dict["Error"] = error_of(status, response_dict["body"])
        if error["Code"] == str(status):
            response_dict["body"] = b""  # botocore would take the tags of a page for fields


def error_of(status: int, body: bytes) -> dict[str, str]:
    """Return a refusal's ``Code``, ``Message`` and what else it says, in printable words.

    They are those of S3's XML, of a proxy's page, or of the status.
    """
    error = _fields_of(body)
    if not error.get("Code"):
        error["Code"] = str(status)
        error["Message"] = error.get("Message") or _message_of(status, body)
    return {printable(name): printable(text) for name, text in error.items()}


def _message_of(status: int, body: bytes) -> str:
    words = words_of(body).removeprefix(str(status)).lstrip(" -:")
    return words or http.client.responses.get(status, "")


def _fields_of(body: bytes) -> dict[str, str]:
    """Return the fields of S3's XML for an error; none if it is something else."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - as botocore parses it afterwards
    except (ElementTree.ParseError, LookupError, ValueError):  # the last two: an encoding that is unknown or wrong
        is_xml = body.lstrip().startswith(b"<") and not looks_like_html(body)
        return {"Message": "its XML is malformed or cut off"} if is_xml else {}
    error = next((one for one in root.iter() if _name(one) == "Error"), ())  # <ErrorResponse> may enclose it
    return {_name(field): " ".join((field.text or "").split()) for field in error}


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
