"""Reads a SHA-256 that a caller gives."""

import re

__all__ = ["parse_sha256"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_sha256(sha256: str | None) -> str | None:
    """Return the digest in lower case.

    Raises:
        ValueError: It is not the hex form of a SHA-256.
    """
    if sha256 is not None and not _SHA256.fullmatch(sha256.lower()):
        raise ValueError("sha256 must be 64 hexadecimal digits")
    return sha256 and sha256.lower()
