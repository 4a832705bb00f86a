"""How the engines make a request: one attempt at a time, at the pace allowed, again where that may help."""

import contextlib
import random
import time
from email.utils import parsedate_to_datetime

import urllib3.exceptions
from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError
from botocore.parsers import ResponseParserError
from s3transfer.bandwidth import LeakyBucket, RequestExceededException

from cdn_errors import StalledError, StoreProtocolError, explain
from constants import log

__all__ = ["Attempt", "Pace", "delay", "is_busy", "retry_after", "status_of"]

# Attempts without progress before a transfer gives up: with the delays below, about a minute of outage.
_ATTEMPTS = 9

_FIRST_DELAY = 0.25  # seconds
_LONGEST_DELAY = 20.0  # seconds

_WORTH_A_LINE = 1.0  # seconds

# A store that asks for more patience than this, in seconds, has failed.
_LONGEST_RETRY_AFTER = 600

_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504, *range(520, 531)})  # 520 to 530: a CDN's own failures
_BUSY_STATUS = frozenset({429, 503})
_TRANSIENT_CODES = frozenset({
    "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable",
    "SlowDown", "Throttling",
})
_TRANSIENT_TYPES = (
    HTTPClientError,
    BotocoreConnectionError,
    IncompleteReadError,
    ResponseParserError,
    StalledError,
    StoreProtocolError,
    urllib3.exceptions.HTTPError,
)


class Attempt:
    """One request of an engine. As the parameter ``Attempt`` of a client's method it switches botocore's retries off.

    Attributes:
        raw: The urllib3 response once the answer's head is there.
    """

    raw = None

    def cut(self):
        """Wake the thread that reads the answer; it finds the connection at its end. Safe from another thread."""
        if self.raw is not None:
            # These say that it is already at its end, or already back in the pool.
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                self.raw.shutdown()


class Pace:
    """The bandwidth that all connections of one transfer share.

    Args:
        bytes_per_second: The limit; None for no limit.

    Thread-safety: safe from several threads.
    """

    def __init__(self, bytes_per_second):
        self._bucket = LeakyBucket(bytes_per_second) if bytes_per_second else None

    def keep(self, amount, token, wait):
        """Wait until ``amount`` more bytes may pass.

        Args:
            amount: Number of bytes.
            token: Any object that stands for the connection.
            wait: Called with the seconds to wait; returns True to give up waiting.
        """
        while self._bucket is not None:
            try:
                self._bucket.consume(amount, token)
                return
            except RequestExceededException as error:
                if wait(error.retry_time):
                    return


def status_of(error):
    """Return the HTTP status of a ``ClientError``, None for any other exception."""
    if isinstance(error, ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return None


def _is_transient(error):
    """Return True if the same request may succeed when it is made again."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code")
        return status_of(error) in _TRANSIENT_STATUS or code in _TRANSIENT_CODES
    if isinstance(error, SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return isinstance(error, _TRANSIENT_TYPES)


def is_busy(error):
    """Return True if the store asks for fewer requests."""
    return status_of(error) in _BUSY_STATUS


def retry_after(error):
    """Return the seconds that the store's ``Retry-After`` asks for, 0.0 without one (RFC 9110, 10.2.3)."""
    if not isinstance(error, ClientError):
        return 0.0
    value = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (OverflowError, ValueError):
        return 0.0


def delay(error, failures, what):
    """Return the seconds to wait before the next attempt, or None if there is to be none. A long wait is logged.

    Args:
        error: The failure of the last attempt.
        failures: How many attempts have failed in a row without progress, this one included.
        what: What is transferred, for the log.
    """
    asked = retry_after(error)
    if failures >= _ATTEMPTS or not _is_transient(error) or asked > _LONGEST_RETRY_AFTER:
        return None
    longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** (failures - 1))
    seconds = max(asked, longest * random.uniform(0.5, 1.0))
    if seconds >= _WORTH_A_LINE:
        log(f"{what}: {explain(error)}; the next attempt is in {seconds:.0f} s")
    return seconds
