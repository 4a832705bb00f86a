"""Objects for the tests of downloads: their content, how they get into a store, and what arrives on disk."""

import contextlib
import hashlib
import random
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

PART = 1 << 20  # bytes; see downloads.PARTS
SAMPLE_SIZE = 6 * PART + 12345

_ORIGIN = Path(__file__).parents[2] / "bench" / "origin.py"


def payload_of(size, seed=0):
    """Return random bytes that are the same in every call."""
    return random.Random(seed).randbytes(size)


def put(admin, bucket, key, payload):
    """Store an object with its digest, as our uploads do. Return the digest."""
    digest = hashlib.sha256(payload).hexdigest()
    admin.put_object(Bucket=bucket, Key=key, Body=payload, Metadata={"sha256": digest})
    return digest


def put_without_digest(admin, bucket, key, payload):
    """Store an object as other clients do."""
    admin.put_object(Bucket=bucket, Key=key, Body=payload)


def presigned(admin, bucket, key):
    """Return the path and query of a presigned GET, which a fault can send in place of the client's request."""
    url = urlsplit(admin.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))
    return f"{url.path}?{url.query}"


@contextlib.contextmanager
def origin_of(path):
    """Run a store that serves one file, of any size, under every key. Yield its URL."""
    command = [sys.executable, _ORIGIN, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def is_whole(path):
    """Return True if the file has the content of a sample."""
    return path.read_bytes() == payload_of(SAMPLE_SIZE)


def sha256_of(path):
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flip_bit(path, position):
    """Flip one bit of the byte at ``position``."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << position % 8
    path.write_bytes(content)


def unfinished_files(folder):
    """Return the names of what unfinished downloads have left in ``folder`` and below."""
    return sorted(path.name for path in folder.rglob(".cdn-*"))
