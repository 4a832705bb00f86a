"""An HTTP proxy in front of a store that injects the faults of bad stores and bad links.

``Proxy(url)`` forwards requests. ``proxy.inject(fault)`` spoils the next answers: a ``Fault`` can replace the answer,
its head or its body. The functions in this module are the faults known from real stores, named after what goes wrong.
With rates and a latency, the proxy is a slow link. It counts connections, requests and the bytes it has sent.

As a program, it is a slow link in a process of its own: ``python fault_proxy.py URL RATE LATENCY`` prints its URL and
exits when its standard input ends.
"""

import contextlib
import http.client
import re
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_BLOCK = 64 << 10


class Cut(Exception):
    """Raised by a body to end the connection at that point; with a reset (RST) if the argument is True."""


@dataclass
class Request:
    """A request as received, and the store's answer to it."""

    method: str
    target: str
    headers: dict
    connection: socket.socket
    status: int = 0
    answer: dict = field(default_factory=dict)
    sent: int = 0

    @property
    def ranged(self):
        return "range" in self.headers

    @property
    def first(self):
        """Position in the object of the first byte of the answer's body."""
        match = re.match(r"bytes (\d+)-", self.answer.get("content-range", ""))
        return int(match[1]) if match else 0

    def wait_until_gone(self):
        """Send nothing until the client closes the connection."""
        with contextlib.suppress(OSError):
            while self.connection.recv(1):
                pass


@dataclass
class Fault:
    """What goes wrong with the answer to a GET.

    Attributes:
        answer: Takes the request; returns the whole answer, without asking the store.
        target: A presigned path and query to ask the store for instead.
        headers: Names of the client's headers to send along with ``target``.
        head: Takes the request; may change its ``status`` and ``answer`` (names in lower case).
        body: Takes the request and an iterator of blocks; yields what to send, or raises ``Cut``.
        version: Protocol version in the status line.
        close: True to close the connection after the answer.
        times: Number of requests to affect; None for all.
        when: Takes the request; returns False to leave it alone.
    """

    answer: object = None
    target: str | None = None
    headers: tuple = ()
    head: object = None
    body: object = None
    version: str = "1.1"
    close: bool = False
    times: int | None = 1
    when: object = None


class Proxy:
    """A proxy for the store at ``url``, on a free loopback port.

    Args:
        url: The store's endpoint.
        rate: Bytes per second of each connection; None for no limit.
        latency: Seconds to wait before each answer, and before serving a new connection.
        link: Bytes per second of all connections together; None for no limit.
        tls: An ``ssl.SSLContext`` to serve https with.
        most: How many connections are served at a time; None for no limit.
        surplus: What happens to the others: takes the connection, and returns when it is to be closed.

    Attributes:
        refused: Number of connections that were not served.
    """

    def __init__(self, url, rate=None, latency=0.0, link=None, tls=None, most=None, surplus=None):
        self.upstream = urlsplit(url)
        self.rate = rate
        self.latency = latency
        self.link = link
        self.link_free_at = 0.0
        self.tls = tls
        self.most = most
        self.surplus = surplus
        self.refused = 0
        self.requests = []
        self.connections = 0
        self.lock = threading.Lock()
        self.open = set()
        self.faults = []
        self._listen(0)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def inject(self, *faults):
        with self.lock:
            self.faults.extend(faults)

    @property
    def bytes_sent(self):
        """Total body bytes sent in answer to GETs."""
        return sum(request.sent for request in list(self.requests))

    @property
    def gets(self):
        return [request for request in list(self.requests) if request.method == "GET"]

    def _listen(self, port):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def go_away(self, seconds):
        """Break all connections, and refuse new ones for this many seconds."""
        self.close()
        time.sleep(seconds)
        self._listen(self.port)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join()
        with self.lock:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with self.lock:
            is_surplus = self.most is not None and len(self.open) >= self.most
            self.refused += is_surplus
            self.open.add(connection)
            self.connections += 1
        if is_surplus:
            with contextlib.suppress(OSError), connection:
                self.surplus(connection)
            with self.lock:
                self.open.discard(connection)
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True)
        upstream = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port)
        reader = connection.makefile("rb")
        try:
            if self.latency:
                time.sleep(self.latency)
            while (request := _read_request(reader, connection)) is not None:
                if not self._answer(request, reader, upstream):
                    break
        except (OSError, http.client.HTTPException):
            pass
        except Cut as cut:
            if cut.args[0]:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            with self.lock:
                self.open.discard(connection)
            upstream.close()
            reader.close()
            connection.close()

    def _take_fault(self, request):
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if request.method != "GET" or (fault.when is not None and not fault.when(request)):
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self.faults.remove(fault)
                return fault
        return Fault()

    def _answer(self, request, reader, upstream):
        """Answer one request. Return True if another one can follow on this connection."""
        fault = self._take_fault(request)
        if self.latency:
            time.sleep(self.latency)
        if fault.answer is not None:
            request.connection.sendall(fault.answer(request))
            return not fault.close
        answer = self._ask(request, fault, reader, upstream)
        request.status, request.answer = answer.status, {name.lower(): value for name, value in answer.getheaders()}
        request.answer.pop("connection", None)
        if fault.head is not None:
            fault.head(request)
        if fault.close:
            request.answer["connection"] = "close"
        head = [f"HTTP/{fault.version} {request.status} {answer.reason}"]
        head += [f"{name}: {value}" for name, value in request.answer.items()]
        request.connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        blocks = iter(lambda: answer.read(_BLOCK), b"")
        for block in fault.body(request, blocks) if fault.body is not None else blocks:
            self._send(request, block)
        return not fault.close and not answer.will_close

    def _ask(self, request, fault, reader, upstream):
        length = int(request.headers.get("content-length", 0))
        body = reader.read(length) if length else None
        if fault.target is not None:
            kept = {name: request.headers[name] for name in fault.headers if name in request.headers}
            upstream.request("GET", fault.target, headers=kept)
        else:
            upstream.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
        return upstream.getresponse()

    def _send(self, request, block):
        began = time.monotonic()
        if self.link:
            with self.lock:
                free_at = self.link_free_at = max(self.link_free_at, began) + len(block) / self.link
            time.sleep(free_at - began)
        request.connection.sendall(block)
        request.sent += len(block)
        if self.rate:
            time.sleep(max(0.0, began + len(block) / self.rate - time.monotonic()))


def _read_request(reader, connection):
    line = reader.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while (header := reader.readline().decode("latin-1").strip()):
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line[0], line[1], headers, connection)


# Surplus connections


def reset_at_once(connection):
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def left_unanswered(connection):
    """Read, and never answer."""
    while connection.recv(_BLOCK):
        pass


def answered_busy(*headers):
    """Answer 503."""

    def answer(connection):
        if connection.recv(_BLOCK):
            connection.sendall(_respond(503, ("Connection: close", *headers), b"<Error><Code>SlowDown</Code></Error>"))

    return answer


# Bodies


def _cut_after(amount, end):
    def body(request, blocks):
        left = amount
        for block in blocks:
            yield block[:left]
            left -= min(left, len(block))
            if not left:
                end(request)
        end(request)

    return body


def _end(reset):
    def end(_):
        raise Cut(reset)

    return end


def reset_after(amount, **options):
    """Reset the connection after this many bytes of the body."""
    return Fault(body=_cut_after(amount, _end(True)), **options)


def truncated_after(amount, **options):
    """End the body early although Content-Length is correct."""
    return Fault(body=_cut_after(amount, _end(False)), **options)


def silent_after(amount, **options):
    """Send nothing more after this many bytes of the body, but keep the connection open."""
    return Fault(body=_cut_after(amount, Request.wait_until_gone), **options)


def trickle_after(amount, pause=0.02, **options):
    """After this many bytes of the body, send single bytes with pauses (seconds) in between."""

    def body(_, blocks):
        left = amount
        for block in blocks:
            yield block[:left]
            for index in range(left, len(block)):
                time.sleep(pause)
                yield block[index:index + 1]
            left -= min(left, len(block))

    return Fault(body=body, **options)


def longer(**options):
    """Send more bytes than Content-Length says."""

    def body(_, blocks):
        yield from blocks
        yield b"more than was promised" * 1000

    return Fault(body=body, **options)


def flipped_bit(position, **options):
    """Flip one bit of the object in transit."""

    def body(request, blocks):
        at = request.first
        for block in blocks:
            if at <= position < at + len(block):
                block = bytearray(block)
                block[position - at] ^= 1 << position % 8
            at += len(block)
            yield block

    return Fault(body=body, times=None, **options)


def then(action, amount, **options):
    """Call ``action`` after this many bytes of the body."""

    def body(_, blocks):
        left = amount
        for block in blocks:
            yield block
            if 0 <= left < len(block):
                action()
            left -= len(block)

    return Fault(body=body, **options)


# Heads


def _headers(change, **options):
    return Fault(head=lambda request: change(request.answer), **options)


def wrong_content_range(shift, **options):
    """Claim another position for the body in Content-Range."""

    def change(headers):
        first, last, total = map(int, re.findall(r"\d+", headers["content-range"]))
        headers["content-range"] = f"bytes {first + shift}-{last + shift}/{total}"

    return _headers(change, **options)


def slices(amount, **options):
    """Answer with at most this many bytes of the range that was asked for, and say so."""

    def head(request):
        first, last, total = map(int, re.findall(r"\d+", request.answer["content-range"]))
        last = min(last, first + amount - 1)
        request.answer["content-range"] = f"bytes {first}-{last}/{total}"
        request.answer["content-length"] = str(last + 1 - first)

    def body(_, blocks):
        left = amount
        for block in blocks:
            yield block[:left]
            left -= min(left, len(block))

    return Fault(head=head, body=body, times=None, **options)


def short_total(**options):
    """Claim that the object is shorter than the range that is sent."""

    def change(headers):
        headers["content-range"] = f"{headers['content-range'].partition('/')[0]}/100"

    return _headers(change, **options)


def no_content_range(**options):
    """Answer 206 without Content-Range."""
    return _headers(lambda headers: headers.pop("content-range"), **options)


def no_etag(**options):
    """Send no ETag."""
    return _headers(lambda headers: headers.pop("etag", None), times=None, **options)


def weak_etag(**options):
    """Send a weak ETag, which does not promise identical bytes."""
    return _headers(lambda headers: headers.update(etag="W/" + headers["etag"]), times=None, **options)


def no_metadata(**options):
    """Drop the user metadata."""
    return _headers(lambda headers: headers.pop("x-amz-meta-sha256", None), times=None, **options)


def shouted_metadata(**options):
    """Send the user metadata in upper case."""

    def change(headers):
        headers["X-Amz-Meta-SHA256"] = headers.pop("x-amz-meta-sha256").upper()

    return _headers(change, times=None, **options)


def chunked(whole=False, **options):
    """Send no Content-Length. With ``whole``, answer 200 without Content-Range, so that nothing tells the size."""

    def head(request):
        del request.answer["content-length"]
        request.answer["transfer-encoding"] = "chunked"
        if whole:
            request.status = 200
            request.answer.pop("content-range", None)

    def body(_, blocks):
        for block in blocks:
            yield b"%x\r\n%s\r\n" % (len(block), block)
        yield b"0\r\n\r\n"

    return Fault(head=head, body=body, times=None, **options)


def closes(**options):
    """Close the connection after every answer."""
    return Fault(close=True, times=None, **options)


def http_1_0(**options):
    """Answer in HTTP/1.0, without Content-Length."""
    return Fault(
        head=lambda request: request.answer.pop("content-length"), version="1.0", close=True, times=None, **options
    )


# Answers


def _respond(status, headers=(), body=b""):
    lines = [f"HTTP/1.1 {status} -", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def refuses(status, *headers, code="Refused", **options):
    """Answer with this status, without asking the store."""
    body = f"<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>".encode()
    return Fault(answer=lambda _: _respond(status, headers, body), **options)


def refuses_if_match(**options):
    """Answer 412 to every If-Match, as a store without ETags does."""
    return refuses(412, code="PreconditionFailed", times=None, when=lambda request: "if-match" in request.headers)


def ignores_range(target, **options):
    """Send the whole object whatever range was requested. ``target`` is the object's presigned path."""
    return Fault(target=target, times=None, **options)


def ignores_if_match(target, **options):
    """Send the object whatever its current ETag is. ``target`` is the object's presigned path."""
    return Fault(target=target, headers=("range",), times=None, **options)


def redirects(url, **options):
    """Redirect the client elsewhere."""
    return refuses(307, f"Location: {url}/elsewhere", code="TemporaryRedirect", times=None, **options)


if __name__ == "__main__":
    with Proxy(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])) as link:
        print(link.url, flush=True)
        sys.stdin.read()
