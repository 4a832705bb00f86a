"""Tests the network between this machine and the store: name, port, TLS and HTTP."""

import functools
import socket
import ssl
import time
from collections.abc import Generator
from typing import Any

from urllib3.connection import HTTPConnection

from cdn_cli.checks.answer import Answer, check_clock, judge
from cdn_cli.checks.finding import Finding, finding_of
from cdn_cli.checks.route import NETWORK_ERRORS, Route, is_local
from cdn_engine.errors import CDNError, explain
from cdn_engine.wire.tls import ca_bundle

__all__ = ["check_network"]

_SET_BUNDLE = "set AWS_CA_BUNDLE to "

# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_CERTIFICATE_ERRORS = {
    9: ("the certificate is not valid yet", "set this machine's clock, or have the certificate replaced"),
    10: ("the certificate has expired", "have it renewed at the store; if it was, set this machine's clock"),
    18: ("the certificate is self-signed", f"{_SET_BUNDLE}its file"),
    19: ("the certificate's CA is not trusted here", f"{_SET_BUNDLE}the CA's file"),
    20: ("the certificate's CA is not trusted here", f"{_SET_BUNDLE}the CA's file"),
    21: ("the store sends its certificate without the one of its CA", f"{_SET_BUNDLE}the CA's file"),
    62: ("the certificate is for another host", "correct host in the configuration, or the certificate"),
    64: ("the certificate is for another address", "correct host in the configuration, or the certificate"),
}


def check_network(
    host: str, bucket: str | None, connect_timeout: float | None = None, read_timeout: float | None = None
) -> Generator[Finding, None, bool]:
    """Test the network, one finding after the other until one fails.

    Args:
        host: The store's URL.
        bucket: The bucket to ask for; a gateway may serve nothing but buckets.
        connect_timeout: Seconds for one connection; None for the default.
        read_timeout: The same for its answer.

    Returns:
        True if a store answers.
    """
    try:
        route = Route(host, connect_timeout, read_timeout)
    except CDNError as error:
        text, _, advice = explain(error).partition(": ")
        yield Finding("host resolves", "failed", text, advice)
        return False
    for name, test in (("host resolves", _check_name), ("connects", _check_port)):
        finding = finding_of(name, functools.partial(test, route))
        yield finding
        if finding.state == "failed":
            return False
    try:
        connection = route.connection()
    except OSError as error:
        origin = ca_bundle()[1]
        advice = f"correct {origin}" if origin.isupper() else f"{_SET_BUNDLE}a file with CA certificates"
        yield Finding("TLS", "failed", explain(error), advice)
        return False
    try:
        finding = finding_of("TLS", lambda: _check_tls(route, connection))
        yield finding
        if finding.state == "failed":
            return False
        target = f"{route.store.path.rstrip('/')}/{f'{bucket}?list-type=2&max-keys=1' if bucket else ''}"
        clock: list[Finding] = []
        finding = finding_of("answers", lambda: _check_answer(route, connection, target, clock))
        yield finding
        yield from clock
        return finding.state != "failed"
    finally:
        connection.close()


def _check_name(route: Route) -> Finding:
    try:
        found = socket.getaddrinfo(route.host, route.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Finding("host resolves", "failed", f"{route.peer}: {explain(error)}",
                       f"correct {route.setting}, or this machine's DNS")  # fmt: skip
    addresses = sorted({str(address[0]) for *_, address in found})
    if addresses == [route.host]:
        return Finding("host resolves", "ok", route.peer)
    return Finding("host resolves", "ok", f"{route.peer} is {', '.join(addresses)}")


def _check_port(route: Route) -> Finding:
    began = time.monotonic()
    try:
        socket.create_connection((route.host, route.port), route.connect_timeout).close()
    except OSError as error:
        return Finding("connects", "failed", f"{route.peer}, port {route.port}: {explain(error)}",
                       f"correct {route.setting}, open the firewall, or start the store")  # fmt: skip
    milliseconds = 1000 * (time.monotonic() - began)
    return Finding("connects", "ok", f"{route.peer}, port {route.port}, in {milliseconds:.0f} ms")


def _check_tls(route: Route, connection: HTTPConnection) -> Finding:
    """Open the connection if it uses TLS."""
    if route.store.scheme == "http":
        if is_local(route.store):
            return Finding("TLS", "ok", "not needed: the store is on this machine")
        return Finding("TLS", "skipped", "plain http: anyone on the network path can read the data", "use https")
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        return _bad_certificate(error)
    except NETWORK_ERRORS as error:
        if route.proxy and "Tunnel connection failed" in str(error):  # http.client has no exception for it
            return _refused_by(route.proxy, explain(error))
        if isinstance(error, ssl.SSLError) and _speaks(route, "http"):
            return Finding("TLS", "failed", "this port speaks plain http, not https",
                           "correct the port in host, or write http:// there")  # fmt: skip
        return Finding("TLS", "failed", explain(error), "check that the store speaks https on this port")
    tls: Any = connection.sock
    end = ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"])
    date = time.strftime("%Y-%m-%d", time.gmtime(end))
    return Finding("TLS", "ok", f"valid until {date}, {(end - time.time()) / 86400:.0f} days left")


def _bad_certificate(error: ssl.SSLCertVerificationError) -> Finding:
    text, advice = _CERTIFICATE_ERRORS.get(error.verify_code, (error.verify_message, "correct the certificate"))
    path, origin = ca_bundle()
    if advice.startswith(_SET_BUNDLE) and origin.isupper():  # the name of a variable
        advice += f"; {origin} is {path!r} now"
    return Finding("TLS", "failed", text, advice)


def _refused_by(proxy: str, reason: str) -> Finding:
    advice = "correct the proxy variables, with user and password"
    if "407" not in reason:
        advice = "correct host, have the proxy let it through, or set NO_PROXY to the store's name"
    return Finding("answers", "failed", f"{proxy}: {reason}", advice)


def _speaks(route: Route, scheme: str) -> bool:
    """Return True if the port speaks this, although host says otherwise."""
    if route.proxy:  # whose own answer would be taken for the store's
        return False
    try:
        connection = route.connection(scheme)
        try:
            connection.connect()
            if scheme == "http":
                route.ask(connection, "/").close()
            return True
        finally:
            connection.close()
    except ssl.SSLCertVerificationError:
        return True
    except NETWORK_ERRORS:
        return False


def _check_answer(route: Route, connection: HTTPConnection, target: str, clock: list[Finding]) -> Finding:
    """Make one unsigned request. Append what its answer says about the store's clock."""
    asked = time.time()
    try:
        answer = Answer.of(route.ask(connection, target))
    except NETWORK_ERRORS as error:
        if route.store.scheme == "http" and _speaks(route, "https"):
            return _speaks_tls(route)
        return Finding("answers", "failed", f"no HTTP: {explain(error)}", "check that this is the store's port")
    if answer.status == 407:
        return _refused_by(route.proxy or "a proxy on the way", answer.line)
    if answer.status == 400 and route.store.scheme == "http" and not answer.is_from_store and _speaks(route, "https"):
        return _speaks_tls(route)
    finding = judge(answer, route.store, "list-type" in target)
    if finding.state != "failed":
        clock.append(finding_of("clock", lambda: check_clock(answer, (asked + answer.arrived) / 2)))
    return finding._replace(text=f"{route.proxy}: {finding.text}") if route.proxy else finding


def _speaks_tls(route: Route) -> Finding:
    return Finding("answers", "failed", "this port speaks https, and host says http",
                   f"write host: https://{route.store.netloc}{route.store.path}")  # fmt: skip
