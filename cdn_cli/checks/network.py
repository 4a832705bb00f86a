"""Tests the network between this machine and the store: name, port, TLS, HTTP and clock."""

import http.client
import os
import socket
import ssl
import time
from collections.abc import Generator
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from cdn_cli.checks.finding import Finding
from cdn_engine.errors import explain

__all__ = ["check_network"]

_TIMEOUT = 10  # seconds for one connection or answer

# Beyond this, S3 answers RequestTimeTooSkewed; other stores use the same number.
_SKEW_LIMIT = 900  # seconds

# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_CERTIFICATE_ERRORS = {
    9: ("the certificate is not valid yet", "set this machine's clock, or have the certificate replaced"),
    10: ("the certificate has expired", "have it renewed at the store; if it was, set this machine's clock"),
    18: ("the certificate is self-signed", "set AWS_CA_BUNDLE to its file"),
    19: ("the certificate's CA is not trusted here", "set AWS_CA_BUNDLE to the CA's file"),
    20: ("the certificate's CA is not trusted here", "set AWS_CA_BUNDLE to the CA's file"),
    62: ("the certificate is for another host", "correct host in cdn.yaml, or the certificate"),
    64: ("the certificate is for another address", "correct host in cdn.yaml, or the certificate"),
}

_NO_PROXY_URL_ADVICE = "correct HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, and the lower-case ones"


class _Proxy(NamedTuple):
    """A proxy that stands between this machine and the store.

    Attributes:
        url: Its URL, which may contain a password.
        headers: What it wants to see in each request, or in the ``CONNECT`` of a tunnel.
    """

    url: SplitResult
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"the proxy {self.url.hostname}"


class _Peer(NamedTuple):
    """What this machine connects to: the store, or the proxy before it.

    Attributes:
        name: What to call it in a finding.
        setting: Where its address is configured.
        host: Host name or address.
        port: Port.
    """

    name: str
    setting: str
    host: str
    port: int


def check_network(host: str) -> Generator[Finding, None, bool]:
    """Test the network, one finding after the other until one fails.

    Args:
        host: The store's URL.

    Returns:
        True if the store answers.
    """
    store = urlsplit(host)
    try:
        proxy = _find_proxy(host)
    except ValueError:  # its message would quote the password
        text = f"the proxy variables hold no valid URL for {store.scheme}"
        yield Finding("host resolves", "failed", text, _NO_PROXY_URL_ADVICE)
        return False
    peer = _peer(store, proxy)
    for test in (_check_name, _check_port):
        finding = test(peer)
        yield finding
        if finding.state == "failed":
            return False
    bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True)
    try:
        connection = _connection(store, proxy, peer, bundle)
    except OSError as error:
        yield Finding("TLS", "failed", f"no CA certificates in {bundle!r}: {explain(error)}", "correct AWS_CA_BUNDLE")
        return False
    try:
        finding = _check_tls(store, connection, proxy)
        yield finding
        if finding.state == "failed":
            return False
        return (yield from _check_answer(store, connection, proxy))
    finally:
        connection.close()


def _find_proxy(host: str) -> _Proxy | None:
    """Return the proxy that botocore would use for ``host``, None if there is none.

    Raises:
        ValueError: The proxy variables hold no valid URL.
    """
    configuration = ProxyConfiguration(get_environ_proxies(host))
    url = configuration.proxy_url_for(host)
    if not url:
        return None
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError
    return _Proxy(parts, configuration.proxy_headers_for(url))


def _peer(store: SplitResult, proxy: _Proxy | None) -> _Peer:
    url = proxy.url if proxy else store
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    if proxy:
        return _Peer(str(proxy), "the proxy variables", host, port)
    return _Peer(host, "host in cdn.yaml", host, port)


def _check_name(peer: _Peer) -> Finding:
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Finding("host resolves", "failed", f"{peer.name}: {explain(error)}",
                       f"correct {peer.setting}, or this machine's DNS")  # fmt: skip
    addresses = sorted({str(address[0]) for *_, address in found})
    if addresses == [peer.host]:
        return Finding("host resolves", "ok", peer.name)
    return Finding("host resolves", "ok", f"{peer.name} is {', '.join(addresses)}")


def _check_port(peer: _Peer) -> Finding:
    began = time.monotonic()
    try:
        socket.create_connection((peer.host, peer.port), _TIMEOUT).close()
    except OSError as error:
        return Finding("connects", "failed", f"{peer.name}, port {peer.port}: {explain(error)}",
                       f"correct {peer.setting}, open the firewall, or start the store")  # fmt: skip
    milliseconds = 1000 * (time.monotonic() - began)
    return Finding("connects", "ok", f"{peer.name}, port {peer.port}, in {milliseconds:.0f} ms")


def _connection(
    store: SplitResult, proxy: _Proxy | None, peer: _Peer, bundle: str
) -> http.client.HTTPConnection | http.client.HTTPSConnection:
    """Return an HTTP connection to the store, not yet open, with the settings of the S3 client."""
    if store.scheme == "http":
        return http.client.HTTPConnection(peer.host, peer.port, timeout=_TIMEOUT)
    context = ssl.create_default_context(cafile=bundle)
    connection = http.client.HTTPSConnection(peer.host, peer.port, timeout=_TIMEOUT, context=context)
    if proxy:
        connection.set_tunnel(store.hostname or "", store.port or 443, proxy.headers)
    return connection


def _check_tls(store: SplitResult, connection: http.client.HTTPConnection, proxy: _Proxy | None) -> Finding:
    """Open the connection if it uses TLS."""
    if store.scheme == "http":
        if store.hostname in ("localhost", "127.0.0.1", "::1"):
            return Finding("TLS", "ok", "not needed: the store is on this machine")
        return Finding("TLS", "skipped", "plain http: anyone on the network path can read the data", "use https")
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        text, advice = _CERTIFICATE_ERRORS.get(error.verify_code, (error.verify_message, "correct the certificate"))
        return Finding("TLS", "failed", text, advice)
    except (OSError, http.client.HTTPException) as error:
        if proxy and str(error).startswith("Tunnel connection failed"):  # http.client has no exception for it
            return _refused_by(str(proxy), explain(error))
        return Finding("TLS", "failed", explain(error), "check that the store speaks https on this port")
    tls: Any = connection.sock
    end = ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"])
    date = time.strftime("%Y-%m-%d", time.gmtime(end))
    return Finding("TLS", "ok", f"valid until {date}, {(end - time.time()) / 86400:.0f} days left")


def _refused_by(proxy: str, reason: str) -> Finding:
    return Finding("answers", "failed", f"{proxy}: {reason}", "correct the proxy variables, with user and password")


def _check_answer(
    store: SplitResult, connection: http.client.HTTPConnection, proxy: _Proxy | None
) -> Generator[Finding, None, bool]:
    """Test with one unsigned request. Return True if the store answers."""
    asked = time.time()
    try:
        if proxy and store.scheme == "http":
            connection.request("GET", f"http://{store.netloc}/", headers=proxy.headers)
        else:
            connection.request("GET", "/")
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        yield Finding("answers", "failed", f"no HTTP: {explain(error)}", "check that this is the store's port")
        return False
    answered = time.time()
    if answer.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
        yield _refused_by(str(proxy or "a proxy on the way"), f"{answer.status} {answer.reason}")
        return False
    server = answer.getheader("Server") or "not named"
    yield Finding("answers", "ok", f"status {answer.status}, server {server}")
    yield _check_clock(answer.getheader("Date") or "", (asked + answered) / 2)
    return True


def _check_clock(date: str, here: float) -> Finding:
    """Compare the store's clock with this machine's.

    Args:
        date: The ``Date`` of the store's answer.
        here: The time of this machine when the store made it, in seconds since 1970.
    """
    try:
        there = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Finding("clock", "skipped", "the store does not send its time")
    difference = round(here - 0.5 - there)  # a date is cut off to whole seconds
    text = f"this machine's clock is {abs(difference)} s {'ahead of' if difference > 0 else 'behind'} the store's"
    if abs(difference) > _SKEW_LIMIT:
        return Finding("clock", "failed", text, "set the wrong one: the store refuses signed requests")
    return Finding("clock", "ok", text if abs(difference) > 1 else "agrees with the store's")
