"""Installs a release: all of it, verified and on the disk, before anyone sees any of it."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cdn_engine.phases import FINISHING, WAITING
from cdn_engine.sha256 import parse_sha256
from cdn_manager import CDNManager, TransferResult
from cdn_release.account import Account
from cdn_release.changes import Changes
from cdn_release.current import make_current
from cdn_release.errors import (
    ManifestError,
    ReleaseDamagedError,
    ReleaseDoesNotFitError,
    ReleaseExistsError,
    SignatureError,
)
from cdn_release.manifest import FileEntry, Manifest, check_name
from cdn_release.place import Place, sync_directory
from cdn_release.repository import Repository
from cdn_release.signature import LARGEST_SIGNATURE, check, require_public_key
from cdn_release.staging import Source, Staging
from cdn_release.supply import Supply
from cdn_release.verification import look_at
from cdn_release.workers import require_jobs

__all__ = ["Installed", "install"]


class Installed(NamedTuple):
    """A release that is here, and current.

    Attributes:
        name: Its name.
        sha256: Its identity: the SHA-256 of its manifest.
        path: Its directory.
        files: How many files it has.
        size: Their bytes.
        transferred: Bytes that crossed the network in this call, without the manifest.
        resumed_from: Bytes that earlier, broken calls had brought.
        linked: Bytes that were here already, in other releases: of equal files, each content counted once.
        skipped: True if nothing was to be brought: the release was here.
        changes: What is different from the release that was current; None if that is this one.
    """

    name: str
    sha256: str
    path: Path
    files: int
    size: int
    transferred: int
    resumed_from: int
    linked: int
    skipped: bool
    changes: Changes | None


def install(
    manager: CDNManager,
    bucket: str,
    name: str,
    into: str | os.PathLike[str],
    *,
    prefix: str = "",
    sha256: str | None = None,
    public_key: str | None = None,
    jobs: int = 8,
    progress: Callable[[int], object] | None = None,
    on_change: Callable[[Changes], object] | None = None,
) -> Installed:
    """Install a release as ``into/name``, and make it the current one: what ``into/current`` leads to.

    Whoever looks there sees the release that was current before or this one, whole, at every instant, also after a
    crash or a power cut. What other releases in the directory have is linked or copied, the rest is fetched. After a
    failure, the next call goes on.

    Args:
        manager: Has a read key. It needs no right to list.
        bucket: The bucket.
        name: The release's name.
        into: The directory; it is made if it is missing.
        prefix: As for ``publish``.
        sha256: The identity that the release must have, in hex. None for any.
        public_key: The Ed25519 public key that must have signed it: PEM, or the base64 in it. None to need no
            signature.
        jobs: How many files are fetched at a time.
        progress: Called in the calling thread with counts of bytes received, as by ``CDNManager.fetch``. What is
            counted while its method ``phase`` was last told ``comparing`` was here already.
        on_change: Called with the changes after ``current`` has moved; not if it did not.

    Returns:
        What was done.

    Raises:
        ReleaseMissingError: The store has no such release.
        ManifestError: The manifest is not as it must be, or not the one that ``sha256`` is of, or a file that it names
            is not at the store. No file was fetched.
        SignatureError: The signature is missing or wrong, or the key cannot be used. No file was fetched.
        ReleaseDoesNotFitError: The file system has no room for it, or cannot hold its names. No file was fetched.
        ReleaseExistsError: Something else is at ``into/name``.
        ReleaseDamagedError: The release is here, and not whole.
        IntegrityError: A content is not what its digest says. Nothing was installed.
        ValueError: ``sha256`` is not the hex form of a SHA-256, or ``jobs`` is less than 1.
        CredentialMissingError: There is no read key.

    ``TRANSFER_ERRORS`` contains these but for ``ValueError``, and what ``CDNManager.fetch`` raises for a single file.

    Thread-safety: safe, also from several processes: one installs, the others wait.
    """
    try:
        if public_key is not None:
            require_public_key(public_key)
    except SignatureError:
        del public_key  # tracebacks have a frame's variables
        raise
    check_name(name)
    require_jobs(jobs)
    pinned = parse_sha256(sha256)
    account = Account(progress)
    at = Repository(manager, bucket, prefix, account.pulse)
    content = at.manifest(name)
    identity = hashlib.sha256(content).hexdigest()
    if pinned not in (None, identity):
        raise ManifestError(f"the release {name!r} at the store is {identity}, and not {pinned}")
    if public_key is not None:
        check(content, at.signature(name, identity, LARGEST_SIGNATURE), public_key)
    manifest = Manifest.parse(content, name)  # not before it is known to be the right one, as far as one can
    account.size = sum(file.size for file in manifest.contents)
    place = Place(into)
    place.create()
    account.enter(WAITING)
    with place.installing(account.pulse):
        place.current()  # raises if it could not be moved
        brought = _Installation(at, place, manifest, jobs, account).run(content)
        with place.changing(account.pulse):
            changes = make_current(place, name, is_installed=True)
        for left in (place.objects, place.staging):  # by an interrupted install too, if this release was here
            with contextlib.suppress(OSError):  # the next install removes it; ``current`` has moved, and that is told
                place.remove_tree(left)
    if changes is not None and on_change is not None:
        on_change(changes)
    return brought._replace(changes=changes)


class _Installation:
    """Brings a release into a directory, of which it becomes a part in one step."""

    def __init__(self, at: Repository, place: Place, manifest: Manifest, jobs: int, account: Account) -> None:
        self._place = place
        self._manifest = manifest
        self._account = account
        self._path = place.release(manifest.name)
        self._supply = Supply(at, place, manifest, jobs, account)
        self._staging = Staging(place, manifest)

    def run(self, content: bytes) -> Installed:
        """Bring the release, unless it is there. ``installing`` is held."""
        if self._is_here(content):
            return self._installed([], 0, 0, is_new=False)
        self._place.forget_missing()
        self._place.make_objects()
        self._staging.take_apart(self._manifest.files)
        self._supply.tidy()
        try:
            self._staging.lay_out()
            sources = self._supply.find()
            linked = sum(os.path.getsize(source.path) for source in sources.values() if not source.is_ours)
            kept = sum(os.path.getsize(source.path) for source in sources.values() if source.is_ours)
            missing = self._supply.missing(sources)
            self._supply.ask(missing)
            self._require_room(missing, sources)
            fetched, results = self._supply.fetch(missing)
            sources |= fetched
            self._account.enter(FINISHING)
            self._staging.fill(sources, self._account.pulse)
            self._place.keep_manifest(self._manifest.name, content)
            os.rename(self._place.staging, self._path)
        except BaseException:
            with contextlib.suppress(OSError):  # the next install does it, and says why it cannot
                if os.path.lexists(self._place.staging):  # what has its name by now, if anything, is not the release
                    self._place.forget_manifest(self._manifest.name)
                self._staging.take_apart(self._manifest.files)
                self._place.remove_empty_objects()
            raise
        sync_directory(self._place.path)
        sync_directory(self._place.own)
        return self._installed(results, linked, kept, is_new=True)

    def _is_here(self, content: bytes) -> bool:
        """Return True if this very release is in the directory, as far as one can see without reading it.

        Raises:
            ReleaseExistsError, ReleaseDamagedError: Something else is.
        """
        if not os.path.lexists(self._path):
            return False
        if self._place.content(self._manifest.name) != content:
            raise ReleaseExistsError(
                f"{self._path!r} is another release, or was not installed by cdn-manager, and is not changed: move it "
                "away, or publish under another name"
            )
        for file in self._manifest.files:
            if problem := look_at(self._path, file, self._place.keeps_modes):
                raise ReleaseDamagedError(
                    f"{self._path!r} is not as it was installed: {file.path!r} ({problem}); roll back if it is the "
                    "current one, then move it away, and install again"
                )
        return True

    def _require_room(self, files: list[FileEntry], sources: dict[str, Source]) -> None:
        """Raise ``ReleaseDoesNotFitError`` if the disk has no room for what is missing."""
        needed = sum(file.size for file in files) - self._supply.taken(sources) + self._staging.extra_space(sources)
        free = shutil.disk_usage(self._place.path).free
        if needed > free:
            raise ReleaseDoesNotFitError(
                f"{self._place.path!r} has {free} bytes of free space, and {needed} are needed: prune removes releases"
            )

    def _installed(self, results: list[TransferResult], linked: int, kept: int, is_new: bool) -> Installed:
        manifest = self._manifest
        return Installed(
            manifest.name, manifest.sha256, Path(self._path), len(manifest.files), manifest.size,
            sum(result.transferred for result in results), sum(result.resumed_from for result in results) + kept,
            linked, not is_new, None,
        )  # fmt: skip
