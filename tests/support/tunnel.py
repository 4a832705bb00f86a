"""A proxy that opens tunnels with CONNECT and passes requests for http on, and may want a password."""

import base64
import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Tunnel:
    """The proxy, on a free loopback port, for the duration of its ``with`` block.

    Args:
        password: ``NAME:PASSWORD`` that clients must send; None if anybody may use it.
        tls: An ``ssl.SSLContext`` to speak TLS with the clients.
        store: Address to connect to instead of the one that is asked for.

    Attributes:
        host: ``127.0.0.1:PORT``.
        asked: The request lines received so far.
    """

    def __init__(self, password=None, tls=None, store=None):
        self.asked = []
        self._store = store
        self._tls = tls
        self._wanted = password and base64.b64encode(password.encode())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError):
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            self.asked.append(f"{method} {target}")
            if self._wanted is not None and b"Basic " + self._wanted not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            host, port = (self._store or (target if method == "CONNECT" else urlsplit(target).netloc)).split(":")
            store = socket.create_connection((host, int(port)))
            self._open.append(store)
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                store.sendall(head)
            threading.Thread(target=_pass_on, args=(client, store), daemon=True).start()
            _pass_on(store, client)


def _pass_on(source, destination):
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            destination.sendall(block)
    with contextlib.suppress(OSError):
        destination.shutdown(socket.SHUT_RDWR)
