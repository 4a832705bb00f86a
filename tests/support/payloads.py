"""Payloads for uploads, and names for their sizes."""

import hashlib
import random

PART = 8 << 20  # bytes; a payload larger than this is a multipart upload
SMALLEST_PART = 5 << 20  # bytes; S3's limit


def payload_of(size, seed=0):
    """Return random bytes in which no two blocks are the same, and which are the same in every call."""
    block = random.Random(seed).randbytes(min(size, 1 << 20))
    return b"".join(index.to_bytes(8, "big") + block[8:] for index in range(-(-size // (1 << 20))))[:size]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def size_id(size):
    """Name a size for pytest: '1-byte', '1-part', '3-parts-and-1-byte'."""
    parts, rest = divmod(size + 1, PART)
    if parts and rest < 3:
        return f"{parts}-part{'s' * (parts > 1)}{('-less-1-byte', '', '-and-1-byte')[rest]}"
    return f"{size}-byte{'s' * (size != 1)}"


class Content:
    """Bytes as the payload of a request to a ``Store``, in pieces of 256 KiB."""

    def __init__(self, content):
        self._view = memoryview(content)

    def __len__(self):
        return len(self._view)

    def sha256(self):
        return sha256(self._view)

    def pieces(self):
        for start in range(0, len(self._view), 256 << 10):
            yield self._view[start:start + (256 << 10)]
