"""What the network did, in words without bucket, key and addresses of objects."""

import errno
import socket
import ssl

import pytest
from botocore import exceptions as botocore_errors
from botocore.parsers import ResponseParserError
from urllib3 import exceptions as urllib3_errors
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from cdn_engine.errors import explain
from cdn_engine.network_errors import origin_of

pytestmark = pytest.mark.portable

URL = "http://store:9000/bucket/key"
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
NO_ANSWER = "no answer from http://store:9000 in time"


def tls_failure(reason):
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1000)")
    error.reason = reason
    return botocore_errors.SSLError(endpoint_url=URL, error=urllib3_errors.SSLError(error))


def unknown_ca():
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "unable to get local issuer certificate"
    return botocore_errors.SSLError(endpoint_url=URL, error=urllib3_errors.SSLError(error))


def refused_connection():
    inner = urllib3_errors.NewConnectionError(HTTPConnection("store"), "no connection")
    inner.__cause__ = REFUSED
    return botocore_errors.EndpointConnectionError(endpoint_url=URL, error=inner)


def unknown_name():
    cause = socket.gaierror(-2, "Name or service not known")
    inner = urllib3_errors.NameResolutionError("store", HTTPConnection("store"), cause)
    inner.__cause__ = cause
    return botocore_errors.EndpointConnectionError(endpoint_url=URL, error=inner)


def refused_tunnel():
    inner = urllib3_errors.ProxyError("Cannot connect", OSError("Tunnel connection failed: 407 No password"))
    return botocore_errors.ProxyConnectionError(proxy_url="http://***@proxy:3128", error=inner)


def silence():
    inner = urllib3_errors.ReadTimeoutError(HTTPConnectionPool("store"), "/bucket/key", "Read timed out.")
    return botocore_errors.ReadTimeoutError(endpoint_url=URL, error=inner)


def reset():
    inner = urllib3_errors.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))
    return botocore_errors.ConnectionClosedError(endpoint_url=URL, error=inner)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refused_connection(), "no connection to http://store:9000: Connection refused"),
        (unknown_name(), "no connection to http://store:9000: Name or service not known"),
        (botocore_errors.ConnectTimeoutError(endpoint_url=URL), "no connection to http://store:9000: no answer in"),
        (silence(), NO_ANSWER),
        (reset(), "the connection to http://store:9000 broke: Connection reset by peer"),
        (urllib3_errors.ProtocolError("cut", REFUSED), "the connection to the store broke: Connection refused"),
        (silence().kwargs["error"], "no answer from the store in time"),
        (refused_tunnel(), "no connection through the proxy http://proxy:3128: Tunnel connection failed: 407"),
        (unknown_ca(), "no TLS connection to http://store:9000: its certificate is not valid here: unable to get"),
        (tls_failure("WRONG_VERSION_NUMBER"), "no TLS connection to http://store:9000: it does not speak TLS on this"),
        (tls_failure("UNSUPPORTED_PROTOCOL"), "no TLS connection to http://store:9000: unsupported protocol"),
        (ResponseParserError("Unable to parse <b>"), "the store's answer is not XML, or is cut off"),
        (botocore_errors.NoCredentialsError(), "Unable to locate credentials"),
    ],
    ids=["refused", "name", "connect-timeout", "read-timeout", "reset", "body", "silent-body", "tunnel", "certificate",
         "no-tls", "tls", "xml", "other"],
)  # fmt: skip
def test_failure_of_the_network_is_one_clear_sentence(error, expected):
    text = explain(error)
    assert text.startswith(expected)
    assert not any(word in text for word in ("bucket", "key", "0x", "Pool", "HTTPConnection"))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://name:password@store.example.com:9000/bucket?a=b", "https://store.example.com:9000"),
        ("http://[::1]:8333/", "http://[::1]:8333"),
        ("HTTPS://Store/", "https://store"),
        ("/login", ""),
        ("http://store:port/", ""),
        ("http://[", ""),
        ("", ""),
    ],
)
def test_origin_has_no_password_and_no_path(url, origin):
    assert origin_of(url) == origin


def test_bucket_with_an_impossible_name_is_called_that_without_the_regular_expressions():
    error = botocore_errors.ParamValidationError(
        report='Invalid bucket name "my bucket": Bucket name must match the regex "^[a-zA-Z0-9]$" or be an ARN'
    )
    assert explain(error) == 'Parameter validation failed: Invalid bucket name "my bucket"'
