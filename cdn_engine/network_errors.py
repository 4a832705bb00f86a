"""Puts the failures of the network into words: those of botocore and urllib3 contain URLs and addresses of objects."""

import re
import socket
import ssl
from http.client import BadStatusLine, UnknownProtocol
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as botocore_errors
from botocore.parsers import ResponseParserError
from urllib3 import exceptions as urllib3_errors

__all__ = ["in_words", "origin_of", "root_cause"]

_NO_TLS = frozenset({"HTTP_REQUEST", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"})  # OpenSSL's names
_OBJECT = re.compile(r"<[^<>]* object at 0x[^<>]*>:? *|HTTPS?ConnectionPool\([^()]*\): *")


def origin_of(url: str) -> str:
    """Return ``scheme://host:port`` of a URL, without a user name or password; empty if it has no host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def root_cause(error: BaseException) -> BaseException:
    """Return what the system, TLS or urllib3 said first."""
    seen: list[BaseException] = []
    following: Any = error
    while isinstance(following, BaseException) and following not in seen:
        seen.append(following)
        inner = [getattr(following, "kwargs", {}).get("error"), getattr(following, "reason", None), *following.args]
        following = next((one for one in inner if isinstance(one, BaseException)), following.__cause__)
    return seen[-1]


def in_words(error: BaseException) -> str:
    """Return what failed between this machine and the store, without bucket and key, and why."""
    details = getattr(error, "kwargs", {})
    host = origin_of(str(details.get("endpoint_url", ""))) or "the store"
    why = _why(root_cause(error))
    match error:
        case botocore_errors.SSLError():
            return f"no TLS connection to {host}: {why}"
        case botocore_errors.ProxyConnectionError():
            return f"no connection through the proxy {origin_of(str(details.get('proxy_url', '')))}: {why}"
        case botocore_errors.ConnectTimeoutError():
            return f"no connection to {host}: no answer in time"
        case botocore_errors.EndpointConnectionError():
            return f"no connection to {host}: {why}"
        case botocore_errors.ReadTimeoutError() | urllib3_errors.ReadTimeoutError():
            return f"no answer from {host} in time"
        case botocore_errors.ConnectionClosedError() | urllib3_errors.HTTPError():
            return f"the connection to {host} broke: {why}"
        case ResponseParserError():
            return "the store's answer is not XML, or is cut off"
        case botocore_errors.ParamValidationError():
            return str(error).partition(": Bucket name must match")[0]  # two regular expressions follow
    return _OBJECT.sub("", str(error))


def _why(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid here: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason:
        if cause.reason in _NO_TLS:
            return "it does not speak TLS on this port: use http://, or another port"
        return cause.reason.replace("_", " ").lower()
    if isinstance(cause, TimeoutError | socket.timeout):
        return "no answer in time"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause) or type(cause).__name__
    if isinstance(cause, BadStatusLine | UnknownProtocol):
        return f"what it answers is not HTTP: {str(cause)[:60]!r}"
    return _OBJECT.sub("", str(cause)) or type(cause).__name__
