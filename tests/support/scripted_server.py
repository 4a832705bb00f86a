"""An S3 server for tests that records every request and answers chosen ones with a fault.

All other requests are passed on to a real store, or answered here as by a store that keeps nothing.
"""

import contextlib
import http.client
import socket
import struct
import threading
import time
from urllib.parse import parse_qs, urlsplit

_BLOCK = 1 << 20
_SILENCE = 600  # seconds without traffic, after which a connection is given up; no test waits for it
_DROP = 10_000  # bytes


class Request:
    """A request as received.

    Attributes:
        head: The request line and the header fields, byte for byte.
        headers: The header fields by name, in lower case.
        connection: Number of the connection it arrived on.
        body: The part of the body received so far, unless bodies are discarded.
        received: Number of body bytes received so far.
    """

    def __init__(self, head, connection):
        self.head = head
        self.connection = connection
        self.body = bytearray()
        self.received = 0
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        fields = (line.partition(":") for line in lines[1:-1])
        self.headers = {name.lower(): value.strip() for name, _, value in fields}
        self.query = parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def operation(self):
        """S3's name for the operation if it is part of an upload; otherwise the HTTP method."""
        names = {
            "PUT": "UploadPart" if "partNumber" in self.query else "PutObject",
            "POST": "CreateMultipartUpload" if "uploads" in self.query else "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
        }
        return names.get(self.method, self.method)


class ScriptedServer:
    """The server, on a free loopback port, for the duration of its ``with`` block.

    Args:
        upstream: URL of the store to pass requests on to; None to answer them here.
        tls: An ``ssl.SSLContext`` to serve https with.
        keep_bodies: False to discard request bodies.
        address: The address of this machine to listen at.
        rate: Bytes of bodies that it takes in a second, over all connections; None for any number.
        window: Size of the receive buffer in bytes; None for the system's default. Together with its own send buffer,
            this is what a client can send before the server reads.

    Attributes:
        url: The server's endpoint.
        requests: The requests received so far.
        ended: An event that is set when the ``with`` block ends.
    """

    def __init__(self, upstream=None, tls=None, keep_bodies=True, window=None, address="127.0.0.1", rate=None):
        self.requests = []
        self.upstream = upstream and urlsplit(upstream).netloc
        self.keep_bodies = keep_bodies
        self._tls = tls
        self._faults = []
        self._lock = threading.Lock()
        self._rate, self._free_at = rate, 0.0
        self._connections = []
        self.ended = threading.Event()
        self._listener = socket.create_server(
            (address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=64
        )
        if window is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        name = f"[{address}]" if ":" in address else address
        self.url = f"{'https' if tls else 'http'}://{name}:{self._listener.getsockname()[1]}"

    def fault(self, operation, *actions):
        """Use these actions for the next requests of this operation, one each; None is the usual answer."""
        self._faults += [(operation, action) for action in actions]

    @property
    def operations(self):
        return [request.operation for request in self.requests]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(_SILENCE)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection, len(self._connections)), daemon=True).start()

    def _serve(self, connection, number):
        # ValueError: what should be a head is the rest of a body that a fault cut off.
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException), contextlib.ExitStack() as closing:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            exchange = closing.enter_context(Exchange(connection, self))
            while (head := exchange.read_head()) is not None:
                exchange.request = request = Request(head, number)
                with self._lock:
                    self.requests.append(request)
                    action = self._take_action(request.operation)
                (action or Exchange.answer_as_usual)(exchange)

    def pace(self, count):
        """Wait as long as the link takes for ``count`` bytes."""
        if self._rate is not None:
            with self._lock:
                self._free_at = max(self._free_at, time.monotonic()) + count / self._rate
            self.ended.wait(max(0.0, self._free_at - time.monotonic()))

    def _take_action(self, operation):
        for index, (wanted, action) in enumerate(self._faults):
            if wanted == operation:
                del self._faults[index]
                return action
        return None


class Exchange:
    """One connection, as seen by the server.

    Attributes:
        request: The request that is being served.
    """

    def __init__(self, connection, server):
        self.connection = connection
        self.server = server
        self.request = None
        self._lines = connection.makefile("rb")
        self._block = memoryview(bytearray(_BLOCK))
        self._upstream = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        if self._upstream is not None:
            self._upstream.close()

    def read_head(self):
        """Return the head of the next request; None if the client has closed the connection."""
        if self._lines.closed:
            return None
        lines = [self._lines.readline()]
        while lines[-1] not in (b"\r\n", b""):
            lines.append(self._lines.readline())
        return b"".join(lines[:-1]) if lines[-1] else None

    def read_body(self, most=None):
        """Read the body, or at most ``most`` bytes of it. Yield it in blocks, without chunk framing."""
        headers = self.request.headers
        if headers.get("expect") == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self._lines.readline(), 16):
                yield from self._read_exactly(size)
                self._lines.readline()
            self._lines.readline()
        else:
            left = int(headers.get("content-length", 0)) - self.request.received
            yield from self._read_exactly(left if most is None else min(left, most))

    def _read_exactly(self, size):
        while size:
            count = self._lines.readinto(self._block[:size])
            if not count:
                raise ConnectionResetError
            size -= count
            self.request.received += count
            self.server.pace(count)
            if self.server.keep_bodies:
                self.request.body += self._block[:count]
            yield self._block[:count]

    def answer(self, status, headers=(), body=b""):
        if "Content-Length" not in dict(headers):  # an answer to HEAD has that of a body it does not have
            headers = [*headers, ("Content-Length", len(body))]
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1 {status} {http.client.responses.get(status, '-')}\r\n{fields}\r\n"
        self.connection.sendall(head.encode() + body)

    def answer_as_usual(self):
        self.answer(*self.carry_out())

    def carry_out(self):
        """Carry out the request. Return the status, header fields and body of the answer."""
        if self.server.upstream is not None:
            return self._pass_on()
        for _ in self.read_body():
            pass
        xml = {
            "CreateMultipartUpload": b"<InitiateMultipartUploadResult><UploadId>id</UploadId>"
            b"</InitiateMultipartUploadResult>",
            "CompleteMultipartUpload": b"<CompleteMultipartUploadResult><ETag>etag</ETag>"
            b"</CompleteMultipartUploadResult>",
        }
        status = 204 if self.request.method == "DELETE" else 200
        return status, [("ETag", '"etag"')], xml.get(self.request.operation, b"")

    def _pass_on(self):
        if self._upstream is None:
            host, port = self.server.upstream.split(":")
            self._upstream = socket.create_connection((host, int(port)), timeout=_SILENCE)
        self._upstream.sendall(self.request.head + b"\r\n")
        for block in self.read_body():
            self._upstream.sendall(block)
        answer = http.client.HTTPResponse(self._upstream, method=self.request.method)
        answer.begin()
        framing = ("transfer-encoding",) if self.request.method == "HEAD" else ("content-length", "transfer-encoding")
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in framing]
        return answer.status, headers, answer.read()

    def close(self):
        self._lines.close()
        self.connection.close()

    def reset(self):
        """End the connection with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def answering(status, code="Scripted", headers=(), body=None, close=False):
    """An action: read the body, then answer with this, and optionally close the connection."""

    def act(exchange):
        for _ in exchange.read_body():
            pass
        exchange.answer(status, headers, _error(code) if body is None else body)
        if close:
            exchange.close()

    return act


def refusing_unread(status, code="AccessDenied", reset=False):
    """An action: answer without reading the body, then close or reset the connection."""

    def act(exchange):
        exchange.answer(status, [("Connection", "close")], _error(code))
        if reset:
            exchange.reset()
        else:
            exchange.close()

    return act


def answering_at_once(status, headers=(), code=None):
    """An action: answer before reading the body; if the client sent ``Expect``, do not read it at all."""

    def act(exchange):
        exchange.answer(status, headers, _error(code) if code else b"")
        if "expect" not in exchange.request.headers:
            for _ in exchange.read_body():
                pass

    return act


def slow_until_parts(count):
    """An action: read the body slowly until so many parts have been asked for."""

    def act(exchange):
        for _ in exchange.read_body():
            if exchange.server.operations.count("UploadPart") < count:
                exchange.server.ended.wait(0.25)
        exchange.answer_as_usual()

    return act


def resetting(after=0):
    """An action: reset the connection after this many bytes of the body."""

    def act(exchange):
        for _ in exchange.read_body(after):
            pass
        exchange.reset()

    return act


def stalling(after=0):
    """An action: read this many bytes of the body, then nothing until the server stops."""

    def act(exchange):
        for _ in exchange.read_body(after):
            pass
        exchange.server.ended.wait(_SILENCE)

    return act


def dripping():
    """An action: read the body at about 1 MB/s, then answer."""

    def act(exchange):
        while exchange.request.received < int(exchange.request.headers["content-length"]):
            for _ in exchange.read_body(_DROP):
                exchange.server.ended.wait(0.01)
        exchange.answer_as_usual()

    return act


def taking_half(exchange):
    """An action: answer 200 after half of the body, then close the connection."""
    for _ in exchange.read_body(int(exchange.request.headers["content-length"]) // 2):
        pass
    exchange.answer(200, [("ETag", '"half"')])
    exchange.close()


def losing_the_answer(exchange):
    """An action: carry out the request, then reset the connection instead of answering."""
    exchange.carry_out()
    exchange.reset()


def _error(code):
    return f"<Error><Code>{code}</Code><Message>scripted</Message></Error>".encode()
