"""Sends requests over urllib3's connections: those of a boto3 client, in place of botocore's own session, and our own.

Its connections never serve two processes, its pool has no lock that Ctrl-C or a fork could leave behind and no limit to
run into, and another thread can cut a transfer's request at any stage.
"""

import os
import socket
import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import urllib3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ConnectionClosedError, ProxyConnectionError
from botocore.httpsession import ProxyConfiguration
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.util import parse_url
from urllib3.util.proxy import connection_requires_http_tunnel

from cdn_engine.wire.attempt import Attempt, Ended
from cdn_engine.wire.connections import HTTPPool, HTTPSPool
from cdn_engine.wire.exchange import Stream, exchange, head_of
from cdn_engine.wire.failures import NETWORK_FAILURES, botocores_failure
from cdn_engine.wire.proxy import find_proxy
from cdn_engine.wire.refusal import raise_if_not_a_store
from cdn_engine.wire.reply import Reply
from cdn_engine.wire.signature import Request
from cdn_engine.wire.sockets import TLSContext
from cdn_engine.wire.tls import tls_context

__all__ = ["MOST_UNSENT", "Session"]

_BUSY = (429, 503)
_PORTS = {"http": 80, "https": 443}

# A store may take minutes for an answer. A router on the way forgets a silent connection sooner than the system, after
# two hours, would ask for a sign of life.
_KEEPALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
_KEEPALIVE += [
    (socket.IPPROTO_TCP, getattr(socket, name), 60)  # seconds
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL")
    if hasattr(socket, name)
]

# Bytes of a body that the system takes although the connection cannot send them yet. It would take megabytes otherwise,
# at the speed of memory: nobody could tell how fast an upload is, nor that a connection is silent.
MOST_UNSENT = 256 << 10
_UNSENT = (
    [(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)] if hasattr(socket, "TCP_NOTSENT_LOWAT") else []
)

_process = object()  # changes with each fork


def _note_fork() -> None:
    global _process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


class Session:
    """The connections to one store. ``send`` and ``close`` are what a botocore endpoint needs of an HTTP session.

    Args:
        url: The store's URL. Requests to other hosts are not for this session.
        config: The client's configuration: timeouts, proxies, client certificate, keep-alive.

    Attributes:
        host: The header ``Host`` of transfers' requests.

    Thread-safety: safe, and safe to use in a child after a fork.
    """

    def __init__(self, url: str, config: Config) -> None:
        self._url = url
        self._scheme = url.partition(":")[0].lower()
        self.host = _host_of(url)
        self._config: Any = config
        self._opened: tuple[object, HTTPConnectionPool, str | None] | None = None

    def send(self, request: Any) -> AWSResponse:
        """Send a request of a boto3 client.

        Args:
            request: botocore's ``AWSPreparedRequest``.

        Returns:
            The answer, whose body has been read unless it is the stream that the request asks for.

        Raises:
            CDNError: The proxy cannot be used.
            NotAStoreError: The answer is a redirect, or a web page where S3's XML should be.
            OSError: The CA bundle cannot be read.
            botocore.exceptions.BotoCoreError: The network failed, in the classes that botocore has for it.
        """
        pool, proxy = self._pool()
        try:
            response = pool.urlopen(
                request.method,
                self._target(request.url, proxy),
                body=request.body,
                headers=request.headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=self._config.connect_timeout, read=self._config.read_timeout),
                preload_content=False,
                decode_content=False,
                enforce_content_length=False,
            )
            answer = AWSResponse(request.url, response.status, response.headers, response)
            is_object = request.stream_output and response.status < 300
            body = None if is_object else answer.content
        except urllib3.exceptions.HTTPError as error:
            # Not chained: among the causes are exceptions whose text is what the server has sent.
            raise botocores_failure(error, request.url, proxy) from None
        raise_if_not_a_store(request.url, response.status, response.headers, body)
        return answer

    def exchange(self, request: Request, body: Iterable[Any], running: Attempt) -> tuple[Reply, Stream]:
        """Send a request of a transfer. Return the head of its answer, and the body, which the caller closes.

        Args:
            request: The request; its own body is not looked at.
            body: The body, piece by piece: bytes-like objects.
            running: The attempt that this is. Without a read timeout of its own, the client's counts.

        Raises:
            CDNError: The proxy cannot be used.
            OSError: The CA bundle cannot be read.
            botocore.exceptions.BotoCoreError: The network failed, in the classes that botocore has for it.
        """
        pool, proxy = self._pool()
        running.timeout = self._config.connect_timeout
        connection: Any = None
        try:
            # Private, but urllib3's public way makes a request cost half as much again.
            connection = pool._get_conn()
            reply = self._exchange_over(connection, pool, proxy, request, body, running)
        except BaseException as error:
            is_proxys = connection is not None and connection.proxy and not connection.has_connected_to_proxy
            running.leave()
            if connection is not None:
                connection.close()
            if isinstance(error, Ended):
                raise error.reason from error.reason.__cause__
            if isinstance(error, NETWORK_FAILURES):
                kind = ProxyConnectionError if is_proxys else None
                # Not chained: as above.
                raise botocores_failure(error, request.url, proxy, kind) from None
            if isinstance(error, Exception):
                raise
            # Ctrl-C: frames of urllib3 hold the proxy's password.
            raise error.with_traceback(None) from error.__cause__

        def give_back(is_whole: bool) -> None:
            connection.is_unwanted |= not is_whole or reply.will_close or reply.status in _BUSY
            pool._put_conn(connection)

        def broken(error: Exception) -> BotoCoreError:
            kind = None if isinstance(error, TimeoutError) else ConnectionClosedError
            return botocores_failure(error, request.url, proxy, kind)

        return reply, Stream(reply, give_back, broken)

    def _exchange_over(
        self, connection: Any, pool: Any, proxy: str | None, request: Any, body: Iterable[Any], running: Attempt
    ) -> Reply:
        connection.timeout = self._config.connect_timeout
        connection.running = running
        has_tunnel = connection_requires_http_tunnel(pool.proxy, pool.proxy_config, self._scheme)
        _connect(connection, pool, has_tunnel, running)
        # The proxy's password is in no variable, as a traceback may show those.
        head = head_of(
            request.method,
            self._target(request.url, proxy),
            {"Host": self.host, **request.headers, **({} if has_tunnel else pool.proxy_headers)},
        )
        return exchange(connection, request.method, head, body, running, self._config.read_timeout)

    def close(self) -> None:
        """Close the idle connections. The next request opens new ones."""
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] is _process:
            opened[1].close()

    def _pool(self) -> tuple[HTTPConnectionPool, str | None]:
        """Return this process's connections, and the proxy they go through."""
        opened = self._opened
        # Not guarded by a lock, which another thread might hold while this process is forked: if two threads open a
        # pool at once, one of them is used for one request.
        if opened is None or opened[0] is not _process:
            proxy = find_proxy(self._url, self._config.proxies)
            opened = self._opened = (_process, self._open(proxy), proxy)
        return opened[1], opened[2]

    def _open(self, proxy: str | None) -> HTTPConnectionPool:
        options: dict[str, Any] = {"socket_options": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *_UNSENT]}
        if self._config.tcp_keepalive:
            options["socket_options"] += _KEEPALIVE
        if self._scheme == "https":
            options["ssl_context"] = _context(None, self._config.client_cert)
        if proxy is not None:
            return self._open_through(proxy, options)
        store = parse_url(self._url)
        pool: type[HTTPConnectionPool] = HTTPSPool if store.scheme == "https" else HTTPPool
        return pool(store.host or "", store.port, **options)

    def _open_through(self, proxy: str, options: dict[str, Any]) -> HTTPConnectionPool:
        settings = self._config.proxies_config or {}
        if proxy.startswith("https:"):
            bundle, certificate = settings.get("proxy_ca_bundle"), settings.get("proxy_client_cert")
            options["proxy_ssl_context"] = _context(bundle, certificate)
            options.setdefault("ssl_context", options["proxy_ssl_context"])  # urllib3 2.3 takes this one for http
        manager = urllib3.ProxyManager(
            proxy,
            proxy_headers=ProxyConfiguration().proxy_headers_for(proxy),
            use_forwarding_for_https=bool(settings.get("proxy_use_forwarding_for_https")),
            **options,
        )
        manager.pool_classes_by_scheme = {"http": HTTPPool, "https": HTTPSPool}
        return manager.connection_from_url(self._url)

    def _target(self, url: str, proxy: str | None) -> str:
        """Return what stands in the request line, exactly as it was signed."""
        settings = self._config.proxies_config or {}
        if proxy is not None and (self._scheme == "http" or settings.get("proxy_use_forwarding_for_https")):
            return url
        start = url.find("/", url.index("//") + 2)
        return "/" if start < 0 else url[start:]


def _connect(connection: Any, pool: HTTPConnectionPool, has_tunnel: bool, running: Attempt) -> None:
    """Open a connection unless it is open."""
    if not connection.is_closed:
        running.use(connection.sock)
    elif has_tunnel:
        pool._prepare_proxy(connection)
    else:
        connection.connect()


def _host_of(url: str) -> str:
    """Return the value of ``Host``, as botocore signs it."""
    parts = urlsplit(url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return name if parts.port in (None, _PORTS[parts.scheme]) else f"{name}:{parts.port}"


def _context(bundle: str | None, certificate: str | tuple[str, str] | None) -> ssl.SSLContext:
    """Return a context whose sockets the running attempt knows, with a client's certificate if there is one."""
    context = tls_context(bundle, TLSContext)
    if certificate is not None:
        context.load_cert_chain(*((certificate,) if isinstance(certificate, str) else certificate))
    return context
