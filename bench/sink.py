"""A store on loopback that takes everything and remembers sizes only: ``python sink.py CERTIFICATE`` serves https.

It prints its URL and exits when stdin ends.
"""

import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from scripted_server import ScriptedServer


class Sink(ScriptedServer):
    def _take_action(self, operation):
        return _answer_head if operation == "HEAD" else None


def _answer_head(exchange):
    """Answer with the size: rclone compares it."""
    path = urlsplit(exchange.request.target).path
    stored = [one for one in exchange.server.requests if one.method == "PUT" and urlsplit(one.target).path == path]
    fields = 'ETag: "etag"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT'
    size = sum(one.received for one in stored)
    exchange.connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n{fields}\r\n\r\n".encode())


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    with Sink(tls=context, keep_bodies=False) as server:
        print(server.url, flush=True)
        sys.stdin.read()
