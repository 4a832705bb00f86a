"""A store on loopback that uses almost no CPU: HEAD and ranged GET of one object with sendfile, no authentication.

``python origin.py FILE [CERTIFICATE]`` serves the file under every bucket and key, prints its URL and exits when stdin
ends. With a certificate it serves https. A key that is a number is an object of so many bytes, the first of the file;
in the key ``NUMBER-HEX``, ``HEX`` is the object's ``sha256`` metadata.
"""

import os
import re
import socket
import socketserver
import ssl
import sys
import threading

_FIELDS = 'ETag: "0123456789abcdef"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n'
_BLOCK = 1 << 20


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        with open(self.server.path, "rb") as file:
            while line := self.rfile.readline():
                head = b""
                while (header := self.rfile.readline()) not in (b"\r\n", b""):
                    head += header
                self._answer(file, *line.split()[:2], re.search(rb"(?i)\nrange: bytes=(\d+)-(\d*)", b"\n" + head))

    def _answer(self, file, method, target, wanted):
        size, fields = os.fstat(file.fileno()).st_size, _FIELDS
        if key := re.match(rb"/[^/]+/(\d+)(?:-([0-9a-f]{64}))?(?:\?|$)", target):
            size = min(size, int(key[1]))
            fields += f"x-amz-meta-sha256: {key[2].decode()}\r\n" if key[2] else ""
        first, last = 0, size - 1
        if wanted is not None:
            first, last = int(wanted[1]), min(int(wanted[2] or last), last)
        status = "200 OK" if wanted is None else "206 Partial Content"
        place = "" if wanted is None else f"Content-Range: bytes {first}-{last}/{size}\r\n"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {last - first + 1}\r\n{fields}{place}\r\n"
        self.connection.sendall(head.encode())
        if method == b"GET":
            self._send(file, first, last + 1)

    def _send(self, file, first, end):
        while first < end:
            if isinstance(self.connection, ssl.SSLSocket):
                block = os.pread(file.fileno(), min(_BLOCK, end - first), first)
                self.connection.sendall(block)
                first += len(block)
            else:
                first += os.sendfile(self.connection.fileno(), file.fileno(), first, end - first)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64
    context = None

    def finish_request(self, request, client_address):
        # The handshake belongs to the connection's thread: it must not keep others waiting.
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, *_):
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(*_)


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.path = sys.argv[1]
        if sys.argv[2:]:
            server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.context.load_cert_chain(sys.argv[2])
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http{'s' if server.context else ''}://127.0.0.1:{server.server_address[1]}", flush=True)
        sys.stdin.read()
