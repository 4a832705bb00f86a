"""The way of a release: a publisher, a store that records its requests, and an edge machine."""

import hashlib
import os
from functools import cached_property
from pathlib import Path

from local_store import READER, WRITER

from cdn_manager import CDNCredentials, CDNManager
from cdn_release import FileEntry, Manifest, install, publish


def write_tree(folder, contents):
    """Make a directory hold exactly these files: contents by path."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tree_of(folder):
    """Return the contents of all files below a directory, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


class Way:
    """The way from a directory of a publisher to that of an edge machine.

    Attributes:
        server: The store, which records the requests.
        edge: The directory that releases are installed in.
    """

    def __init__(self, server, admin, bucket, folder):
        self.server, self.bucket, self._admin, self._folder = server, bucket, admin, folder
        self.edge = folder / "edge"
        self._managers = []
        self._stored = set()

    publisher = cached_property(lambda self: self._manager(READER, WRITER))
    reader = cached_property(lambda self: self._manager(READER, (None, None)))
    writer = cached_property(lambda self: self._manager((None, None), WRITER))

    def _manager(self, reader, writer):
        self._managers.append(CDNManager(CDNCredentials(self.server.url, *reader, *writer)))
        return self._managers[-1]

    def close(self):
        for manager in self._managers:
            manager.close()

    def model(self, contents):
        """Return a directory with these contents by path."""
        folder = self._folder / "model"
        folder.mkdir(exist_ok=True)
        return write_tree(folder, contents)

    def publish(self, name, contents, manager=None, **options):
        return publish(manager or self.publisher, self.bucket, self.model(contents), name, **options)

    def store(self, name, contents, **lies):
        """Have a release at the store, with few requests; its manifest may say something else of each file."""
        files = []
        for path, content in sorted(contents.items()):
            digest = hashlib.sha256(content).hexdigest()
            if digest not in self._stored:
                self._stored.add(digest)
                self.put(f"objects/{digest}", content, Metadata={"sha256": digest})
            files.append(FileEntry(path, len(content), digest, 0o644)._replace(**lies))
        self.put(f"releases/{name}.json", Manifest(name, tuple(files)).encode())

    def install(self, name, **options):
        return install(self.reader, self.bucket, name, self.edge, **options)

    def requests(self, method=None):
        """Return the requests since the last call, as pairs of a method and the key; or the keys of one method."""
        seen, self.server.requests[:] = list(self.server.requests), []
        found = [(one.method, one.target.partition("?")[0].split("/", 2)[-1]) for one in seen]
        return found if method is None else [key for one, key in found if one == method]

    def stored(self):
        """Return the keys in the bucket."""
        return [entry["Key"] for entry in self._admin.list_objects_v2(Bucket=self.bucket).get("Contents", ())]

    def body(self, key):
        return self._admin.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def put(self, key, body, **arguments):
        self._admin.put_object(Bucket=self.bucket, Key=key, Body=body, **arguments)

    def remove(self, key):
        self._stored.discard(key.rpartition("/")[2])
        self._admin.delete_object(Bucket=self.bucket, Key=key)

    def current(self):
        """Return what a reader of ``current`` sees."""
        return tree_of(os.path.realpath(self.edge / "current"))

    def left_over(self):
        """Return the names of what is ours on the edge and not kept for good."""
        kept = {"lock", "installing", "history", "manifests"}
        return sorted({path.name for path in (self.edge / ".cdn-release").iterdir()} - kept)
