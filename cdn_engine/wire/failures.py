"""Turns a failure of the network into botocore's exception for it."""

from http.client import HTTPException
from ssl import SSLError as PlainSSLError
from typing import Any

from botocore import exceptions as botocores
from urllib3 import exceptions as urllib3s

from cdn_engine.errors import explain

__all__ = ["NETWORK_FAILURES", "botocores_failure"]

# What a connection raises.
NETWORK_FAILURES = (OSError, HTTPException, urllib3s.HTTPError)

# The first that fits counts.
_BOTOCORES: list[tuple[type[Exception], type[botocores.BotoCoreError]]] = [
    (urllib3s.SSLError, botocores.SSLError),
    (PlainSSLError, botocores.SSLError),
    (urllib3s.NewConnectionError, botocores.EndpointConnectionError),
    (urllib3s.ProxyError, botocores.ProxyConnectionError),
    (urllib3s.ConnectTimeoutError, botocores.ConnectTimeoutError),
    (urllib3s.ReadTimeoutError, botocores.ReadTimeoutError),
    (TimeoutError, botocores.ReadTimeoutError),
    (urllib3s.ProtocolError, botocores.ConnectionClosedError),
    (OSError, botocores.ConnectionClosedError),
    (HTTPException, botocores.ConnectionClosedError),
]


def botocores_failure(
    error: Exception, url: str, proxy: str | None, kind: type[botocores.BotoCoreError] | None = None
) -> botocores.BotoCoreError:
    """Return botocore's exception, with a note that says the reason.

    Args:
        error: One of ``NETWORK_FAILURES``.
        url: Where the request was sent.
        proxy: The proxy's URL, whose ``repr`` hides its password; None without one.
        kind: The exception's type; None to choose it by ``error``.
    """
    found = next((theirs for one, theirs in _BOTOCORES if isinstance(error, one)), botocores.HTTPClientError)
    # Without the query, which may be a presigned one: these exceptions show their URL.
    details: dict[str, Any] = {"endpoint_url": url.partition("?")[0], "proxy_url": repr(proxy), "error": error}
    raised = (kind or found)(**details)
    raised.add_note(explain(raised))
    return raised
