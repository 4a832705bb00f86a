"""Whether a failed request is made again, and when."""

import datetime
import ssl
import threading

import pytest
import urllib3
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from urllib3.exceptions import ProtocolError

from cdn_engine.wire import retry
from cdn_manager import IntegrityError, NotAStoreError, StalledError, StoreProtocolError

pytestmark = pytest.mark.portable


def refusal(status, code="Refused", retry_after=None):
    headers = {} if retry_after is None else {"retry-after": retry_after}
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "GetObject")


def broken_tls(reason):
    cause = ssl.SSLError(1, reason)
    cause.reason = reason
    return SSLError(endpoint_url="x", error=urllib3.exceptions.SSLError(cause))


def refused_tunnel(status):
    cause = OSError(f"Tunnel connection failed: {status} in the proxy's words")
    return ProxyConnectionError(proxy_url="x", error=urllib3.exceptions.ProxyError("no tunnel", cause))


TRANSIENT = [
    *(refusal(status) for status in (408, 429, 500, 502, 503, 504, 520, 522, 530)),
    refusal(400, "RequestTimeout"),
    refusal(409, "OperationAborted"),
    EndpointConnectionError(endpoint_url="x"),
    ConnectTimeoutError(endpoint_url="x"),
    *(broken_tls(reason) for reason in ("UNEXPECTED_EOF_WHILE_READING", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", None)),
    refused_tunnel(502),
    refused_tunnel(429),
    ProtocolError("connection broken"),
    StalledError("slow"),
    StoreProtocolError("contradiction"),
]
FINAL = [
    *(refusal(status) for status in (301, 400, 401, 403, 404, 409, 412, 416, 501, 505)),
    *(broken_tls(reason) for reason in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "HTTP_REQUEST")),
    *(broken_tls(reason) for reason in ("TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_PROTOCOL_VERSION")),
    refused_tunnel(407),
    refused_tunnel(403),
    NotAStoreError("a web page"),
    NoCredentialsError(),
    IntegrityError("wrong"),
    OSError("disk"),
    ValueError("mistake"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=str)
def test_transient_failure_is_retried(error):
    assert retry.delay(error, 1, "bucket/key") is not None


@pytest.mark.parametrize("error", FINAL, ids=str)
def test_final_failure_is_not_retried(error):
    assert retry.delay(error, 1, "bucket/key") is None


def test_retries_end_after_nine_attempts():
    pauses = [retry.delay(TRANSIENT[0], failures, "bucket/key") for failures in range(1, 20)]
    assert [pause is None for pause in pauses] == [False] * 8 + [True] * 11


def test_pauses_grow_and_are_jittered():
    for failures in range(1, 9):
        longest = min(20.0, 0.25 * 2 ** (failures - 1))
        pauses = {retry.delay(TRANSIENT[0], failures, "bucket/key") for _ in range(50)}
        assert len(pauses) > 1
        assert all(longest / 2 <= pause <= longest for pause in pauses)


def test_retry_after_is_a_lower_bound():
    assert retry.delay(refusal(503, retry_after="20"), 1, "bucket/key") >= 20


def test_store_that_asks_for_more_than_ten_minutes_has_failed():
    assert retry.delay(refusal(503, retry_after="601"), 1, "bucket/key") is None


def test_retry_after_may_be_a_date():
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    assert 0 < retry.retry_after(refusal(503, retry_after=when.strftime("%a, %d %b %Y %H:%M:%S GMT"))) <= 100


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_retry_after_without_meaning_is_0(value):
    assert retry.retry_after(refusal(503, retry_after=value)) == 0.0


@pytest.mark.parametrize("value", ["99999999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_is_never_longer_than_a_thread_can_wait(value):
    assert 86400 < retry.retry_after(refusal(503, retry_after=value)) < min(threading.TIMEOUT_MAX, 4e6)


def test_long_pause_is_logged_with_the_reason(log_lines):
    retry.delay(refusal(503, "SlowDown", retry_after="5"), 1, "bucket/key")
    (line,) = log_lines()
    assert line.startswith("bucket/key: the store answered 503 SlowDown")
    assert line.endswith("next attempt in 5 s")


def test_short_pause_is_not_logged(log_lines):
    retry.delay(TRANSIENT[0], 1, "bucket/key")
    assert log_lines() == []


def test_status_and_code_are_of_the_stores_answer_only():
    assert (retry.status_of(refusal(404, "NoSuchKey")), retry.code_of(refusal(404, "NoSuchKey"))) == (404, "NoSuchKey")
    assert (retry.status_of(OSError()), retry.code_of(OSError())) == (None, None)
