"""Manifests that may lie, and a directory in which none of them is to be installed."""

import json
import os

import pytest
from payloads import sha256

from cdn_release import ManifestError, install

CONTENT = b"weights"
DIGEST = sha256(CONTENT)

_SIZE = len(CONTENT)
_LONGEST_MESSAGE = 2000  # characters, of which a path may be half


def file(path="weights.bin", size=_SIZE, digest=DIGEST, mode="644", **more):
    """Return a file's entry in a manifest, with further members where some are given."""
    return {"path": path, "size": size, "sha256": digest, "mode": mode, **more}


def manifest(*files, **members):
    """Return the bytes of a manifest, with other members where some are given."""
    document = {"files": files or [file()], "format": 1, "name": "v2"} | members
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return canonical.encode("utf-8", "surrogatepass")


def _snapshot(directory):
    """Return what there is in a directory, but for an empty one that the next install uses."""
    return {
        path.relative_to(directory): path.read_bytes() if path.is_file() else os.path.realpath(path)
        for path in directory.rglob("*") if path != directory / ".cdn-release" / "objects"
    }  # fmt: skip


class Edge:
    """A directory with release v1, and a store that lies about v2.

    Args:
        server: A ``ScriptedServer``.
        manager: A manager for it.
        admin: A client that may write to the store.
        bucket: The bucket.
        directory: The directory.
    """

    def __init__(self, server, manager, admin, bucket, directory):
        self.server, self.manager = server, manager
        self.admin, self.bucket, self.directory = admin, bucket, directory

    def put(self, content, digest=None):
        """Store an object under the digest that it has, or that it pretends to have."""
        digest = digest or sha256(content)
        self.admin.put_object(Bucket=self.bucket, Key=f"objects/{digest}", Body=content, Metadata={"sha256": digest})

    def refuses(self, content, error=ManifestError, heads=0, **options):
        """Assert that an install fails, asks for no file, and changes nothing.

        Args:
            content: The bytes of the manifest; None for what is at the store.
            error: What it fails with.
            heads: How many files' sizes and digests it may ask for.
            options: Further arguments of ``install``.
        """
        if content is not None:
            self.admin.put_object(Bucket=self.bucket, Key="releases/v2.json", Body=content)
        before, start = _snapshot(self.directory), len(self.server.requests)
        with pytest.raises(error) as caught:
            install(self.manager, self.bucket, "v2", self.directory, **options)
        assert len(str(caught.value)) < _LONGEST_MESSAGE
        assert _snapshot(self.directory) == before
        asked = [one.method for one in self.server.requests[start:] if "/objects/" in one.target]
        assert asked in ([], ["HEAD"] * len(asked))
        assert len(asked) <= heads
