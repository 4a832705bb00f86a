"""Whether and when to retry a request."""

import random
import re
import ssl
import time
from email.utils import parsedate_to_datetime

import urllib3.exceptions
from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ProxyConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError
from botocore.parsers import ResponseParserError

from cdn_engine.errors import StalledError, StoreProtocolError, explain
from cdn_engine.log import log
from cdn_engine.network_errors import root_cause

__all__ = ["KEY_REJECTED", "code_of", "delay", "is_forbidden", "is_transient", "retry_after", "status_of"]

# With these codes a store rejects a key as such, whatever it may do. InvalidTokenId is MinIO's.
KEY_REJECTED = frozenset({
    "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "InvalidTokenId", "RequestTimeTooSkewed",
    "SignatureDoesNotMatch", "TokenRefreshRequired",
})  # fmt: skip

# Attempts without progress before a transfer gives up: with the delays below, about a minute of outage.
_MAX_ATTEMPTS = 9

_FIRST_DELAY = 0.25  # seconds
_LONGEST_DELAY = 20.0  # seconds
_LOGGED_DELAY = 1.0  # seconds; shorter waits are not worth a line in the log

# A store that asks for a longer wait, in seconds, has failed.
_LONGEST_RETRY_AFTER = 600
_FOREVER = 1e6  # seconds; no system's locks can wait for as long as some stores ask

_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504, *range(520, 531)})  # 520 to 530: failures of a CDN
_TRANSIENT_CODES = frozenset({
    "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable",
    "SlowDown", "Throttling",
})

# OpenSSL's names. That no TLS is spoken at all is RECORD_LAYER_FAILURE since OpenSSL 3.2, as is a broken record: such a
# failure is retried.
_LASTING_TLS_REASONS = frozenset({
    "CERTIFICATE_VERIFY_FAILED", "DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL", "HTTP_REQUEST", "NO_PROTOCOLS_AVAILABLE",
    "NO_SHARED_CIPHER", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED", "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_ACCESS_DENIED", "TLSV1_ALERT_PROTOCOL_VERSION",
    "TLSV1_ALERT_UNKNOWN_CA", "TLSV1_UNRECOGNIZED_NAME", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION", "WRONG_VERSION_NUMBER",
})  # fmt: skip
_REFUSED_BY_PROXY = re.compile(r"Tunnel connection failed: (\d{3})")  # http.client's words

_TRANSIENT_TYPES = (
    HTTPClientError,
    BotocoreConnectionError,
    IncompleteReadError,
    ResponseParserError,
    StalledError,
    StoreProtocolError,
    urllib3.exceptions.HTTPError,
)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of a ``ClientError``; None for any other exception."""
    if isinstance(error, ClientError):
        status: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status
    return None


def code_of(error: BaseException) -> str | None:
    """Return S3's error code of a ``ClientError``; None without one, and for any other exception."""
    if isinstance(error, ClientError):
        code: str | None = error.response.get("Error", {}).get("Code")
        return code
    return None


def is_forbidden(error: BaseException) -> bool:
    """Return True if the store accepts the key, but does not allow it to do this."""
    return status_of(error) == 403 and code_of(error) not in KEY_REJECTED


def is_transient(error: BaseException) -> bool:
    """Return True if the same request may succeed on another attempt."""
    if isinstance(error, ClientError):
        return status_of(error) in _TRANSIENT_STATUS or code_of(error) in _TRANSIENT_CODES
    if isinstance(error, SSLError | ProxyConnectionError) and _is_lasting(root_cause(error)):
        return False
    return isinstance(error, _TRANSIENT_TYPES)


def _is_lasting(cause: BaseException) -> bool:
    """Return True if TLS or a proxy has refused for a reason that stays; a bad link breaks TLS in other ways."""
    if isinstance(cause, ssl.SSLError):
        return cause.reason in _LASTING_TLS_REASONS
    refused = _REFUSED_BY_PROXY.search(str(cause))
    return refused is not None and int(refused[1]) not in _TRANSIENT_STATUS


def retry_after(error: BaseException) -> float:
    """Return the seconds that the store's ``Retry-After`` asks for; 0.0 without one (RFC 9110, 10.2.3)."""
    if not isinstance(error, ClientError):
        return 0.0
    value: str = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    if value.isdecimal():
        return min(float(value), _FOREVER)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - time.time()), _FOREVER)
    except (OverflowError, ValueError):
        return 0.0


def delay(error: BaseException, failures: int, what: str) -> float | None:
    """Return the seconds to wait before the next attempt, or None to give up. A long wait is logged.

    Args:
        error: Why the last attempt failed.
        failures: Failed attempts in a row without progress, this one included.
        what: What is being transferred, for the log.
    """
    asked = retry_after(error)
    if failures >= _MAX_ATTEMPTS or not is_transient(error) or asked > _LONGEST_RETRY_AFTER:
        return None
    longest: float = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** (failures - 1))
    seconds = max(asked, longest * random.uniform(0.5, 1.0))
    if seconds >= _LOGGED_DELAY:
        log(f"{what}: {explain(error)}; next attempt in {seconds:.0f} s")
    return seconds
