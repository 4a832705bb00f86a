"""One line of text for any failure."""

import errno

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from cdn_engine.errors import explain
from cdn_manager import IntegrityError

pytestmark = pytest.mark.portable


def refusal(code, message="words of the store"):
    error = {"Code": code, "Message": message}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}, "GetObject")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refusal("Refused"), "the store answered 403 Refused: words of the store"),
        (refusal("Refused", ""), "the store answered 403 Refused: no message"),
        (ClientError({}, "GetObject"), "the store answered ? ?: no message"),
        (EndpointConnectionError(endpoint_url="http://x"), 'Could not connect to the endpoint URL: "http://x"'),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "No space left on device: '/a/b'"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (IntegrityError("wrong\n  content"), "wrong content"),
        (KeyError(), "KeyError"),
    ],
    ids=["store", "store without words", "empty answer", "network", "file", "disk", "line break", "no message"],
)
def test_failure_is_one_line(error, expected):
    assert explain(error) == expected


@pytest.mark.parametrize(
    ("code", "advice"),
    [("AccessDenied", "check what this key may do"), ("SignatureDoesNotMatch", "the secret does not belong"),
     ("NoSuchBucket", "create the bucket"), ("RequestTimeTooSkewed", "set this machine's clock")],
)  # fmt: skip
def test_known_refusal_says_what_to_do(code, advice):
    assert f"({advice}" in explain(refusal(code))
