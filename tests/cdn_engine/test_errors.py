"""What a failure is about, and one line of text for any."""

import copy
import errno
import pickle

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from cdn_engine.errors import explain, printable
from cdn_manager import CDNError, IntegrityError, NotAStoreError, StalledError, UnsafePathError

pytestmark = pytest.mark.portable


def refusal(code, message="words of the store"):
    error = {"Code": code, "Message": message}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}, "GetObject")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refusal("Refused"), "the store answered 403 Refused: words of the store"),
        (refusal("Refused", ""), "the store answered 403 Refused"),
        (refusal("403", "Forbidden"), "the store answered 403: Forbidden"),
        (ClientError({}, "GetObject"), "the store answered ?"),
        (
            EndpointConnectionError(endpoint_url="http://x/bucket/key", error=OSError(111, "Connection refused")),
            "no connection to http://x: Connection refused",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "No space left on device: '/a/b'"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (IntegrityError("wrong\n  content"), "wrong content"),
        (KeyError(), "KeyError"),
    ],
    ids=["store", "no-words", "no-code", "empty-answer", "network", "file", "disk", "line-break", "no-message"],
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


@pytest.mark.parametrize("kind", [CDNError, NotAStoreError, StalledError, UnsafePathError])
@pytest.mark.parametrize("passed_on", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_error_names_its_subject_once_also_as_a_copy(kind, passed_on):
    error = kind("too slow")
    assert str(error) == "too slow"
    error.subject = "models/v1.bin"
    error = passed_on(error)
    assert (str(error), error.args) == ("models/v1.bin: too slow", ("too slow",))
    assert explain(error) == "too slow"


UNPRINTABLE = {
    "\x1b[2J": "\\x1b[2J", "a\nb": "a\\nb", "\x9b2J": "\\x9b2J", "\u202egpj": "\\u202egpj", "\u2028": "\\u2028",
    "\x00": "\\x00", "\udce4": "\\udce4", "größe 模型": "größe 模型",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), UNPRINTABLE.items(), ids=map(ascii, UNPRINTABLE))
def test_text_is_escaped_that_could_control_a_terminal(text, expected):
    assert printable(text) == expected


@pytest.mark.parametrize(
    "error",
    [
        refusal("\x1b[31m", "\x1b[2J"),
        CDNError("\x1b[2J"),
        OSError(5, "\x1b[2J", "/\x1b[2J"),
        ValueError("\x1b[2J"),
        EndpointConnectionError(endpoint_url="http://x", error=ValueError("\x1b[2J")),
    ],
    ids=["store", "ours", "file", "other", "network"],
)
def test_explanation_is_printable(error):
    assert explain(error).isprintable()


def test_error_is_printable_in_a_traceback():
    error = CDNError("\x1b[2J")
    error.subject = "models/\x1b[2J"
    assert str(error).isprintable()
