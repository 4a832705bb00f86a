"""A store on loopback that uses almost no CPU: HEAD and ranged GET of one object with sendfile, no authentication.

``python origin.py FILE`` serves the file under every bucket and key, prints its URL and exits when stdin ends.
"""

import os
import re
import socket
import socketserver
import sys
import threading

_FIELDS = "ETag: \"0123456789abcdef\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n"


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        with open(self.server.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while (line := self.rfile.readline()):
                head = b""
                while (header := self.rfile.readline()) not in (b"\r\n", b""):
                    head += header
                self._answer(file, size, line.split()[0], re.search(rb"(?i)\nrange: bytes=(\d+)-(\d*)", b"\n" + head))

    def _answer(self, file, size, method, wanted):
        first, last = 0, size - 1
        if wanted is not None:
            first, last = int(wanted[1]), min(int(wanted[2] or last), last)
        status = "200 OK" if wanted is None else "206 Partial Content"
        place = "" if wanted is None else f"Content-Range: bytes {first}-{last}/{size}\r\n"
        length = last - first + 1
        self.connection.sendall(
            f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{_FIELDS}{place}\r\n".encode()
        )
        while method == b"GET" and length:
            sent = os.sendfile(self.connection.fileno(), file.fileno(), first, length)
            first, length = first + sent, length - sent


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.path = sys.argv[1]
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        sys.stdin.read()
