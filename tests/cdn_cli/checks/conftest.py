"""What the tests of the findings share: a store behind an altering proxy, and servers that are none."""

import contextlib
import http.server

import pytest
from altering_proxy import AlteringProxy, serving
from local_store import READER, WRITER

from cdn_manager import CDNCredentials


@pytest.fixture
def altered_store(moto_url):
    """A function that puts an AlteringProxy in front of the in-process store and returns the credentials for it."""
    with contextlib.ExitStack() as stack:

        def start(**alterations):
            address = stack.enter_context(serving(AlteringProxy(moto_url, **alterations)))
            return CDNCredentials(f"http://{address}", *READER, *WRITER)

        yield start


class _Answering(http.server.ThreadingHTTPServer):
    """Gives every request the same answer."""

    daemon_threads = True

    def __init__(self, status, headers, body):
        class Answer(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_CONNECT = do_GET

        super().__init__(("127.0.0.1", 0), Answer)


@pytest.fixture
def answering():
    """A function that starts a server with one answer to everything and returns its URL."""
    with contextlib.ExitStack() as stack:

        def start(status, headers=None, body=b""):
            return f"http://{stack.enter_context(serving(_Answering(status, headers or {}, body)))}"

        yield start
