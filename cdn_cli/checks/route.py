"""The way from this machine to the store: the proxy and the TLS context that transfers use."""

import http.client
from urllib.parse import SplitResult, urlsplit

import urllib3
from botocore.httpsession import ProxyConfiguration
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.util import parse_url

from cdn_engine.wire.proxy import find_proxy
from cdn_engine.wire.tls import tls_context

__all__ = ["NETWORK_ERRORS", "Route", "is_local", "is_private"]

_TIMEOUT = 10  # seconds for one connection or answer

NETWORK_ERRORS = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)


class Route:
    """How to reach the store: directly, or through a proxy.

    Args:
        store: The store's URL.
        connect_timeout: Seconds for one connection; None for the default.
        read_timeout: Seconds for bytes of an answer; None for the default.

    Attributes:
        store: The parts of the store's URL.
        proxy: What to call the proxy, without its password; None without one.
        peer: What to call what this machine connects to, the store or the proxy.
        setting: Where the peer's address is configured.
        host: The peer's name or address.
        port: The peer's port.
        connect_timeout: Seconds for one connection.
        read_timeout: Seconds for bytes of an answer.

    Raises:
        CDNError: The proxy cannot be used.
    """

    def __init__(
        self, store: str, connect_timeout: float | None = None, read_timeout: float | None = None
    ) -> None:
        self.connect_timeout = connect_timeout or _TIMEOUT
        self.read_timeout = read_timeout or _TIMEOUT
        self.store = urlsplit(store)
        self._url = find_proxy(store)
        to = urlsplit(self._url or store)
        self._scheme = to.scheme
        self.host = to.hostname or ""
        self.port = to.port or _default_port(to.scheme)
        self.proxy = f"the proxy {self.host}" if self._url else None
        self.peer = self.proxy or self.host
        self.setting = "the proxy variables" if self._url else "host in the configuration"

    def connection(self, scheme: str | None = None) -> HTTPConnection:
        """Return an HTTP connection to the store, not yet open.

        Args:
            scheme: Speak this instead of the scheme in the store's URL.

        Raises:
            OSError: The CA bundle cannot be used; it is named.
        """
        scheme = scheme or self.store.scheme
        if self._url is None:
            if scheme == "http":
                return HTTPConnection(self.host, self.port, timeout=self.connect_timeout)
            return HTTPSConnection(self.host, self.port, timeout=self.connect_timeout, ssl_context=tls_context())
        if scheme == "http" and self._scheme == "http":
            return HTTPConnection(self.host, self.port, timeout=self.connect_timeout)
        context = tls_context()
        connection = HTTPSConnection(
            self.host, self.port, timeout=self.connect_timeout, ssl_context=context, proxy=parse_url(self._url),
            proxy_config=ProxyConfig(context, False, None, None),
        )  # fmt: skip
        if scheme == "https":
            port = self.store.port or _default_port(scheme)
            connection.set_tunnel(self.store.hostname or "", port, self._proxy_headers(), scheme=self._scheme)
        return connection

    def ask(self, connection: HTTPConnection, target: str) -> urllib3.BaseHTTPResponse:
        """Send an unsigned GET; return the answer, whose body has not been read.

        Args:
            connection: A connection of this route.
            target: Path and query.
        """
        headers = None
        if self._url and self.store.scheme == "http":
            target, headers = f"http://{self.store.netloc}{target}", self._proxy_headers()
        if connection.sock is None:
            connection.connect()
        connection.timeout = self.read_timeout
        connection.request("GET", target, headers=headers, preload_content=False, enforce_content_length=False)
        return connection.getresponse()

    def _proxy_headers(self) -> dict[str, str]:
        headers: dict[str, str] = ProxyConfiguration().proxy_headers_for(self._url)
        return headers


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def is_local(store: SplitResult) -> bool:
    """Return True if the URL leads to this machine."""
    return store.hostname in ("localhost", "127.0.0.1", "::1")


def is_private(host: str) -> bool:
    """Return True if nobody on the way can read what is sent to this URL."""
    return host.startswith("https:") or is_local(urlsplit(host))
