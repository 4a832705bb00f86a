"""A proxy in front of a store that alters requests and answers as broken gateways do."""

import contextlib
import http.client
import http.server
import re
import threading
from urllib.parse import urlsplit


@contextlib.contextmanager
def serving(server):
    """Run a socket server in a thread; yield its address as HOST:PORT."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class AlteringProxy(http.server.ThreadingHTTPServer):
    """Passes requests on to a store that checks no signatures, since these cover most headers.

    Args:
        store: The URL of the store.
        without: Names of request headers to drop, in lower case.
        only_for: The method whose requests lose them; None for all.
        answers_without: Names of answer headers to drop, in lower case.
        answers_with: Headers to set in each answer.
        refused: Methods to answer with 403.
        unanswered: A pattern of paths whose requests are passed on while the answer is lost.
        keeps_length: False to send answers without a length: they end with the connection.
    """

    daemon_threads = True

    def __init__(self, store, without=(), answers_without=(), answers_with=None, refused=(), unanswered=None,
                 keeps_length=True, only_for=None):  # fmt: skip
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = urlsplit(store).netloc
        self.without = without
        self.only_for = only_for
        self.answers_without = answers_without
        self.answers_with = answers_with or {}
        self.refused = refused
        self.unanswered = unanswered
        self.keeps_length = keeps_length


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command in self.server.refused:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        without = self.server.without if self.server.only_for in (None, self.command) else ()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in without}
        store = http.client.HTTPConnection(self.server.store)
        store.request(self.command, self.path, body, headers)
        answer = store.getresponse()
        content = answer.read()
        store.close()
        if self.server.unanswered and re.search(self.server.unanswered, self.path):
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        sent = {
            name: value for name, value in answer.getheaders()
            if name.lower() not in self.server.answers_without and name.lower() != "transfer-encoding"
        } | self.server.answers_with  # fmt: skip
        if self.server.keeps_length:
            sent.setdefault("Content-Length", str(len(content)))
        else:
            self.close_connection = True
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on
