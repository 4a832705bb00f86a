"""Where releases are at a store: which keys there are, and the requests for what is small."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from cdn_engine.download.answer import digest_of
from cdn_engine.download.in_memory import read_object, wait
from cdn_engine.download.listing import Entry, list_objects
from cdn_engine.download.remote import RemoteObject
from cdn_engine.errors import explain
from cdn_engine.upload.unchanged import forget
from cdn_engine.wire import retry
from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.keys import NotRenewed
from cdn_manager import CDNManager, CredentialMissingError
from cdn_release.errors import ManifestError, ReleaseMissingError
from cdn_release.manifest import LARGEST, check_name

__all__ = ["ASKED_AT_ONCE", "Repository"]

ASKED_AT_ONCE = 16  # requests for small objects: they wait for the store, not for the network


class Repository:
    """The releases below a prefix of a bucket.

    Args:
        manager: Moves the bytes.
        bucket: The bucket.
        prefix: What all keys begin with; a slash is put behind it. Empty for none.
        pulse: Called again and again in the calling thread. An exception in it ends the request.

    Attributes:
        objects: What the keys of contents begin with.
        releases: What the keys of manifests begin with.
        publishing: What the keys of markers begin with that stand for a publish which may be running.
        collecting: The key of the marker that stands for a removal which may be running.

    Thread-safety: safe.
    """

    def __init__(
        self, manager: CDNManager, bucket: str, prefix: str, pulse: Callable[[], object] = lambda: None
    ) -> None:
        folder = prefix.strip("/")
        root = folder and f"{folder}/"
        self.manager = manager
        self.bucket = bucket
        self._pulse = pulse
        self.objects = f"{root}objects/"
        self.releases = f"{root}releases/"
        self.publishing = f"{root}publishing/"
        self.collecting = f"{root}collecting"

    @property
    def reader(self) -> Any:
        """The client with the read key.

        Raises:
            CredentialMissingError: There is none.
        """
        if self.manager.download_client is None:
            raise CredentialMissingError("this needs a key that may read, and the credentials have none")
        return self.manager.download_client

    @property
    def writer(self) -> Any:
        """The client with the write key.

        Raises:
            CredentialMissingError: There is none.
        """
        if self.manager.upload_client is None:
            raise CredentialMissingError("this needs a key that may write, and the credentials have none")
        return self.manager.upload_client

    @property
    def can_read(self) -> bool:
        """True if there is a read key."""
        return self.manager.download_client is not None

    def object_key(self, sha256: str) -> str:
        """Return the key of a content."""
        return f"{self.objects}{sha256}"

    def manifest_key(self, name: str) -> str:
        """Return the key of a release's manifest."""
        check_name(name)
        return f"{self.releases}{name}.json"

    def signature_key(self, name: str, sha256: str) -> str:
        """Return the key of the signature of the manifest that has this digest."""
        check_name(name)
        return f"{self.releases}{name}.{sha256}.sig"

    def publishing_key(self, name: str) -> str:
        """Return the key of the marker of a publish."""
        check_name(name)
        return f"{self.publishing}{name}"

    def manifest(self, name: str) -> bytes:
        """Return the manifest of a release as it is stored.

        Raises:
            ReleaseMissingError: There is none, or the read key may not read it.
            ManifestError: It is too large to be one.
        """
        try:
            content = self.get(self.manifest_key(name), LARGEST)
        except ClientError as error:
            if not _is_absence(error):
                raise
            problem = f"there is no release {name!r} below {self.bucket}/{self.releases}"
            if retry.is_forbidden(error):  # the answer for what is not there too, to a key that may not list
                problem += f", or this key may not read it: {explain(error)}"
            raise ReleaseMissingError(problem) from error
        if content is None:
            raise ManifestError(f"the manifest of {name!r} has more than {LARGEST} bytes")
        return content

    def signature(self, name: str, sha256: str, most: int) -> bytes | None:
        """Return the signature of a manifest; None if there is none, or it is too large to be one.

        Args:
            name: The release's name.
            sha256: The SHA-256 of the manifest.
            most: Bytes that it may have.
        """
        try:
            return self.get(self.signature_key(name, sha256), most)
        except ClientError as error:
            if not _is_absence(error):
                raise
            return None

    def get(self, key: str, most: int) -> bytes | None:
        """Return the content of an object; None if it has more bytes than ``most``."""
        try:
            return read_object(RemoteObject(self.reader.store, self.bucket, key, {}), most, self._pulse)
        except NotRenewed as error:
            raise error.reason from error.reason.__cause__

    def head(self, key: str, pulse: Callable[[], object] | None = None) -> dict[str, Any] | None:
        """Return what the store says of an object; None if there is none, as far as the read key may see.

        Args:
            key: Its key.
            pulse: Called again and again, in place of the repository's, by another thread than the caller's.
        """
        tell = pulse or self._pulse
        remote = RemoteObject(self.reader.store, self.bucket, key, {})
        try:
            return remote.head(Deadline(None), lambda seconds: wait(seconds, tell), "", lambda: Attempt(pulse=tell))
        except NotRenewed as error:
            raise error.reason from error.reason.__cause__
        except ClientError as error:
            if not _is_absence(error):
                raise
            return None

    def has(self, key: str, sha256: str, size: int, pulse: Callable[[], object] | None = None) -> bool:
        """Return True if the store says that an object has this content."""
        head = self.head(key, pulse)
        # Some stores leave out the length.
        return head is not None and digest_of(head) == sha256 and head.get("ContentLength", size) == size

    def put(self, key: str, content: bytes, overwrite: bool = True) -> None:
        """Store a small object."""
        self.manager.store(self.bucket, key, content, lambda _: self._pulse(), overwrite)

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        host = self.writer.store.url
        forget(host, self.bucket, key)
        try:
            self.writer.delete_object(Bucket=self.bucket, Key=key)
        except ClientError as error:  # S3 does not tell of what is not there; some stores do
            if retry.status_of(error) != 404 or retry.code_of(error) == "NoSuchBucket":
                raise
        forget(host, self.bucket, key)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose keys begin with a prefix."""
        return list_objects(self.reader.store, self.bucket, prefix)


def _is_absence(error: ClientError) -> bool:
    """Return True if there is no such object, as far as the key may see; False if the key itself is refused."""
    if retry.status_of(error) == 404:
        return retry.code_of(error) != "NoSuchBucket"
    return retry.is_forbidden(error)
