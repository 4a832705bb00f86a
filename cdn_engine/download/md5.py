"""What an ETag says about an object's content, where it is made of MD5s by S3's rule.

The ETag of an object that was stored in one piece is the content's MD5; of one that was stored in parts, it is the MD5
of their MD5s, and their number. An ETag that is not matched proves nothing: with SSE-KMS, and at some stores, it is
something else, and the size of the parts is a guess.
"""

import hashlib
import re

__all__ = ["ETagHash", "hashes_of", "is_made_of", "parts_of"]

_ETAG = re.compile(r'"?([0-9a-f]{32})(?:-([1-9]\d{0,4}))?"?')

# The parts that clients make, in MiB, the usual ones first: boto3 and aws-cli 8, and multiples of that for more than
# 10,000 parts; rclone 5; minio 16, 64 and 128; s3cmd 15; s3fs 10; Hadoop 100; s5cmd 50.
_USUAL_PARTS = (8, 5, 16, 64, 15, 10, 100, 128, 50, 32, 20, 25, 256, 512, 1024)
_MIB = 1 << 20


class ETagHash:
    """Takes content in order, and tells whether an ETag was made of it.

    Args:
        etag: The ETag, without quotes.
        part: Bytes of each part but the last; None if the object was stored in one piece.

    Raises:
        ValueError: This Python has no MD5.

    Thread-safety: for one thread at a time.
    """

    def __init__(self, etag: str, part: int | None) -> None:
        self._etag = etag
        self._part = part
        self._left = part or 0  # bytes that the present part lacks
        self._count = 0  # parts that are whole
        self._md5 = _md5()
        self._whole = _md5()

    def update(self, block: bytes | memoryview) -> None:
        """Take the next bytes."""
        rest = memoryview(block)
        while self._part is not None and len(rest) >= self._left:
            self._md5.update(rest[:self._left])
            rest = rest[self._left:]
            self._end_part()
        self._md5.update(rest)
        self._left -= len(rest)

    def matches(self) -> bool:
        """Return True if the ETag is that of the content. Nothing can be added then."""
        if self._part is None:
            return self._md5.hexdigest() == self._etag
        if self._left < self._part:
            self._end_part()
        return f"{self._whole.hexdigest()}-{self._count}" == self._etag

    def _end_part(self) -> None:
        assert self._part is not None
        self._whole.update(self._md5.digest())
        self._md5, self._left = _md5(), self._part
        self._count += 1


def hashes_of(etag: str | None, size: int) -> list[ETagHash]:
    """Return a hash for each way in which this ETag may have been made, the most usual first.

    Args:
        etag: A strong ETag, with quotes or without; None for none.
        size: The object's size in bytes.
    """
    match = _ETAG.fullmatch(etag or "")
    if match is None:
        return []
    number = None if match[2] is None else int(match[2])
    try:
        return [ETagHash(match[0].strip('"'), part) for part in parts_of(size, number)]
    except (AttributeError, ValueError):  # a Python without MD5
        return []


def is_made_of(etag: str | None, content: memoryview) -> bool:
    """Return True if the ETag is known to be that of this content."""
    found = hashes_of(etag, len(content))
    for one in found:
        one.update(content)
    return any(one.matches() for one in found)


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def parts_of(size: int, number: int | None) -> list[int | None]:
    """Return by which parts, in bytes, an object may have been stored, the most usual first.

    Args:
        size: The object's size in bytes.
        number: How many there were; None if it was stored in one piece, which is what None in the list means.
    """
    if number is None:
        return [None]
    equal = max(1, -(-size // number))  # our own, in the middle of their range
    rounded = -(-equal // _MIB) * _MIB  # of clients whose parts are no larger than 10,000 of them have to be
    candidates = dict.fromkeys([*(part * _MIB for part in _USUAL_PARTS), rounded, equal])
    fitting: list[int | None] = [part for part in candidates if -(-size // part) == number]
    return fitting[:1] if number == 1 else fitting
