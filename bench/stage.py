"""What a benchmark needs around its clients: objects, servers in processes of their own, a clean disk."""

import contextlib
import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SUPPORT = HERE.parent / "tests" / "support"
_MIB = 1 << 20


@contextlib.contextmanager
def server(program, *arguments):
    """Run a server that prints its URL and ends with its standard input. Yields the URL and a list.

    What the server prints when it ends is in the list after the ``with`` block.
    """
    process = subprocess.Popen(
        [sys.executable, *map(str, (program, *arguments))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    last_words = []
    try:
        yield process.stdout.readline().strip(), last_words
    finally:
        process.stdin.close()
        last_words.append(process.stdout.read())
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def origin(folder, size):
    """Serve an object of ``size`` bytes. Yields the URL and the file that the object is read from."""
    source = random_file(folder / "source", size)
    with server(HERE / "origin.py", source) as (url, _):
        yield url, source


def random_file(path, size):
    """Write a file of random bytes, and return its path."""
    with path.open("wb") as file:
        for first in range(0, size, _MIB):
            file.write(os.urandom(min(_MIB, size - first)))
        os.fsync(file.fileno())
    return path


def scratch(folder, size):
    """Write and delete a file: a virtual machine returns freed pages to its host, and the next one to write pays."""
    path = folder / "scratch"
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(bytes(_MIB))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


class Origin:
    """Serves the first bytes of one file.

    Attributes:
        url, pair: The endpoint, and keys for it.
        environment: Variables for its clients.
        objects: The bucket of what ``key_of`` names.
    """

    pair = ("reader", "reader-secret")
    objects = "bucket"

    def __init__(self, url, source, environment):
        self.url, self.environment = url, environment
        self._source, self._digests = source, {}

    def key_of(self, size, digest):
        """Return the key of an object of this size, which has a digest or not."""
        if not digest:
            return str(size)
        if size not in self._digests:
            sha256 = hashlib.sha256()
            with self._source.open("rb") as file:
                for first in range(0, size, _MIB):
                    sha256.update(file.read(min(_MIB, size - first)))
            self._digests[size] = sha256.hexdigest()
        return f"{size}-{self._digests[size]}"

    @contextlib.contextmanager
    def bucket(self, keep):
        """Provide a bucket for a run. It is to be deleted afterwards, unless it is kept."""
        yield "bucket"


class Store:
    """A SeaweedFS. ``Origin`` describes the rest. All objects that ``key_of`` names have a digest."""

    environment = None
    objects = "objects"

    def __init__(self, running):
        from local_store import ADMIN

        self.url, self.pair = running.url, ADMIN
        self._admin, self._numbers, self._keys = running.admin(), itertools.count(), {}
        for bucket in ("objects", "kept"):
            self._make(bucket)

    def key_of(self, size, digest):
        if size not in self._keys:
            content = os.urandom(size)
            sha256 = hashlib.sha256(content).hexdigest()
            self._keys[size] = f"{size}-{sha256}"
            self._admin.put_object(Bucket="objects", Key=self._keys[size], Body=content, Metadata={"sha256": sha256})
        return self._keys[size]

    @contextlib.contextmanager
    def bucket(self, keep):
        if keep:
            yield "kept"
            return
        name = f"run-{next(self._numbers)}"
        self._make(name)
        try:
            yield name
        finally:
            for found in self._admin.list_objects_v2(Bucket=name).get("Contents", ()):
                self._admin.delete_object(Bucket=name, Key=found["Key"])
            self._admin.delete_bucket(Bucket=name)  # only this gives back the disk space

    def _make(self, bucket):
        """Make a bucket, and the volumes that SeaweedFS makes with its first object."""
        self._admin.create_bucket(Bucket=bucket)
        self._admin.put_object(Bucket=bucket, Key="first", Body=b"first")


@contextlib.contextmanager
def certificate(folder):
    """Make a certificate. Yields its file, and the variables that make clients trust it."""
    import trustme

    authority = trustme.CA()
    bundle, own = folder / "authority.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(bundle)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
    yield own, {"AWS_CA_BUNDLE": str(bundle), "SSL_CERT_FILE": str(bundle)}


@contextlib.contextmanager
def place(kind, folder, largest):
    """Provide what a workload calls its place, with objects of up to ``largest`` bytes."""
    with contextlib.ExitStack() as stack:
        if kind == "store":
            sys.path.insert(0, str(HERE.parent / "examples"))
            from local_store import LocalStore

            yield Store(stack.enter_context(LocalStore()))
            return
        own, trust = stack.enter_context(certificate(folder))
        if kind == "sink":
            url, _ = stack.enter_context(server(HERE / "sink.py", own))
            yield Origin(url, None, trust)
            return
        source = folder / "source"
        if not source.exists() or source.stat().st_size < largest:
            random_file(source, largest)
        url, _ = stack.enter_context(server(HERE / "origin.py", source, *([own] if kind == "tls_origin" else [])))
        yield Origin(url, source, trust)
