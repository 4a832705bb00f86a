"""Clients that are no more than sockets and files: one loop, and fixed numbers of connections."""

import contextlib
import functools
import hashlib
import hmac
import http.client
import os
import queue
import ssl
import threading
import time
from urllib.parse import urlencode, urlsplit

from clients import DEFAULT, DIGEST, REGION, compare, digest_metadata

SMALLEST_PART, LARGEST_PART = 8 << 20, 64 << 20
_BLOCK = 1 << 20
_PATIENCE = 20  # seconds


class Limit:
    """Receives and writes, or reads and sends, in one loop: no other client with one connection can do less."""

    def __init__(self, url, pair):
        self._url, self._pair = url, pair
        place = urlsplit(url)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        trust = {"context": ssl.create_default_context()} if place.scheme == "https" else {}
        self._connection = kind(place.hostname, place.port, **trust)
        self._buffer = memoryview(bytearray(_BLOCK))

    def get(self, bucket, key, target, work):
        self._connection.request("GET", self._presigned("GET", bucket, key))
        digest = hashlib.sha256()
        with self._answer() as answer, open(target, "wb", buffering=0) as file:
            while count := answer.readinto(self._buffer):
                if work == DIGEST:
                    digest.update(self._buffer[:count])
                file.write(self._buffer[:count])
            if work != DEFAULT:
                os.fsync(file.fileno())
        if work == DIGEST:
            compare(key, digest)

    def put(self, bucket, key, source, work):
        digest_metadata(source, work)  # its cost; a presigned URL cannot carry it
        size = len(source) if isinstance(source, bytes) else os.path.getsize(source)
        self._connection.putrequest("PUT", self._presigned("PUT", bucket, key))
        self._connection.putheader("Content-Length", str(size))
        self._connection.endheaders()
        if isinstance(source, bytes):
            for first in range(0, size, _BLOCK):
                self._connection.sock.sendall(memoryview(source)[first : first + _BLOCK])
        else:
            with open(source, "rb", buffering=0) as file:
                while count := file.readinto(self._buffer):
                    self._connection.sock.sendall(self._buffer[:count])
        with self._answer() as answer:
            answer.read()

    def _answer(self):
        answer = self._connection.getresponse()
        if answer.status != 200:
            raise ConnectionError(f"status {answer.status}: {answer.read()}")
        return answer

    def _presigned(self, method, bucket, key):
        """Return the target of a signed request; botocore would take as long for it as the rest of a small object."""
        place, (access, secret) = urlsplit(self._url), self._pair
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = [now[:8], REGION, "s3", "aws4_request"]
        fields = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": "/".join([access, *scope]), "X-Amz-Date": now,
            "X-Amz-Expires": "900", "X-Amz-SignedHeaders": "host",
        }  # fmt: skip
        query = urlencode(fields)
        request = f"{method}\n/{bucket}/{key}\n{query}\nhost:{place.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        signing = functools.reduce(_hmac, scope, f"AWS4{secret}".encode())
        signature = _hmac(signing, "\n".join(["AWS4-HMAC-SHA256", now, "/".join(scope), hashed])).hex()
        return f"/{bucket}/{key}?{query}&X-Amz-Signature={signature}"


def _hmac(key, text):
    return hmac.digest(key, text.encode(), "sha256")


class Fixed:
    """A plain client with a fixed number of connections, which retries nothing."""

    def __init__(self, connections, url, pair):
        self._connections, self._place = connections, urlsplit(url)

    def _connect(self):
        return contextlib.closing(
            http.client.HTTPConnection(self._place.hostname, self._place.port, timeout=_PATIENCE)
        )

    def get(self, bucket, key, target, work):
        path = f"/{bucket}/{key}"
        with self._connect() as connection:
            connection.request("HEAD", path)
            with connection.getresponse() as answer:
                size = int(answer.headers["Content-Length"])
        part = min(max(size // 16, SMALLEST_PART), LARGEST_PART, -(-size // self._connections))
        parts, errors = queue.SimpleQueue(), []
        for first in range(0, size, part):
            parts.put((first, min(first + part, size)))
        with open(target, "wb") as file:
            arguments = (path, parts, file, errors)
            threads = [threading.Thread(target=self._work, args=arguments) for _ in range(self._connections)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os.fsync(file.fileno())
        if errors:
            raise errors[0]

    def _work(self, path, parts, file, errors):
        buffer = memoryview(bytearray(_BLOCK))
        with self._connect() as connection:
            try:
                while not errors:
                    _fetch_part(connection, path, *parts.get_nowait(), file, buffer)
            except queue.Empty:
                pass
            except Exception as error:
                errors.append(error)


Fixed1, Fixed8, Fixed16 = (functools.partial(Fixed, count) for count in (1, 8, 16))


def _fetch_part(connection, path, first, end, file, buffer):
    connection.request("GET", path, headers={"Range": f"bytes={first}-{end - 1}"})
    with connection.getresponse() as answer:
        if answer.status != 206:
            raise ConnectionError(f"status {answer.status}")
        while count := answer.readinto(buffer):
            os.pwrite(file.fileno(), buffer[:count], first)
            first += count
    if first < end:
        raise ConnectionError("the body is cut off")
