"""Which releases a store has."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import NamedTuple

from cdn_engine.download.listing import Entry
from cdn_engine.errors import explain
from cdn_engine.pool import for_each
from cdn_manager import CDNManager
from cdn_release.errors import ManifestError, ReleaseError, ReleaseMissingError
from cdn_release.manifest import Manifest
from cdn_release.repository import ASKED_AT_ONCE, Repository

__all__ = ["Release", "name_in", "read_manifest", "releases"]

_MANIFEST = ".json"


class Release(NamedTuple):
    """A release at a store.

    Attributes:
        name: Its name.
        sha256: The SHA-256 of its manifest, in hex: its identity.
        files: How many files it has.
        size: Bytes of all files.
        published: When its manifest was stored, as the store writes it; None if it does not say.
    """

    name: str
    sha256: str
    files: int
    size: int
    published: str | None


def releases(manager: CDNManager, bucket: str, *, prefix: str = "") -> Iterator[Release]:
    """Yield the releases at a store, in the order of their manifests' keys, while the listing arrives.

    Args:
        manager: Its read key must be allowed to list.
        bucket: The bucket.
        prefix: What the keys of the releases begin with.

    Raises:
        CredentialMissingError: The credentials have no read key.
        ManifestError: The manifest of a release is none. It is raised when all the other releases have been yielded.
        botocore.exceptions.ClientError, other exceptions of ``TRANSFER_ERRORS``: The store refused, or the network
            failed.

    Thread-safety: safe, each call by itself.
    """
    repository = Repository(manager, bucket, prefix)
    return _described(repository, repository.entries(repository.releases))


def name_in(repository: Repository, key: str) -> str | None:
    """Return the name of the release whose manifest has this key; None if it is no manifest's.

    It need not be a name that a release may have.
    """
    name = key.removeprefix(repository.releases)
    return None if "/" in name or not name.endswith(_MANIFEST) else name.removesuffix(_MANIFEST)


def read_manifest(repository: Repository, name: str) -> Manifest:
    """Return the manifest of a release that a listing has named.

    Raises:
        ReleaseMissingError: It is not there any more, or may not be read.
        ManifestError: It is no manifest. The text names it.
    """
    try:
        return Manifest.parse(repository.manifest(name), name)
    except ReleaseMissingError:
        raise
    except ReleaseError as error:
        raise ManifestError(f"{repository.bucket}/{repository.releases}{name}{_MANIFEST}: {explain(error)}") from error


def _described(repository: Repository, entries: Iterator[Entry]) -> Iterator[Release]:
    def describe(listed: tuple[str, str | None]) -> Release:
        name, published = listed
        manifest = read_manifest(repository, name)
        return Release(name, manifest.sha256, len(manifest.files), manifest.size, published)

    named = ((name_in(repository, entry.key), entry.modified) for entry in entries)
    found = ((name, modified) for name, modified in named if name is not None)
    broken: list[ReleaseError] = []
    call: Future[Release]
    for _, call in for_each(describe, found, ASKED_AT_ONCE):
        try:
            yield call.result()
        except ReleaseError as error:
            broken.append(error)
    if broken:
        raise broken[0]
