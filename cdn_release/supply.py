"""Brings the contents of a release to a directory: from releases that are there already, or from the store."""

import os

from cdn_engine.download import bytes_kept
from cdn_engine.download.answer import digest_of as stored_digest_of
from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target
from cdn_engine.phases import COMPARING, RECEIVING
from cdn_manager import TransferResult
from cdn_release.account import Account
from cdn_release.content import READ_AT_ONCE, digest_of
from cdn_release.errors import ManifestError
from cdn_release.manifest import FileEntry, Manifest
from cdn_release.place import Place
from cdn_release.repository import ASKED_AT_ONCE, Repository
from cdn_release.staging import Source
from cdn_release.workers import Report, Transferring, work_on

__all__ = ["Supply"]


class Supply:
    """The contents of a release that is being installed.

    Args:
        at: Where the store has them.
        place: The directory with releases. ``installing`` is held.
        manifest: The release.
        jobs: How many are fetched at a time.
        account: Is told.

    Thread-safety: for one thread.
    """

    def __init__(self, at: Repository, place: Place, manifest: Manifest, jobs: int, account: Account) -> None:
        self._at = at
        self._place = place
        self._jobs = jobs
        self._account = account
        self._wanted = {file.sha256: file for file in manifest.contents}

    def tidy(self) -> None:
        """Remove what interrupted installs have brought, and this one does not want."""
        stems = {Partial(Target.of(self._content(sha256))).stem for sha256 in self._wanted}
        for name in os.listdir(self._place.objects):
            if name not in self._wanted and os.path.splitext(name)[0] not in stems:
                os.unlink(os.path.join(self._place.objects, name))

    def missing(self, sources: dict[str, Source]) -> list[FileEntry]:
        """Return the contents that have no source here, the largest first."""
        missing = [file for sha256, file in self._wanted.items() if sha256 not in sources]
        return sorted(missing, key=lambda file: -file.size)

    def taken(self, sources: dict[str, Source]) -> int:
        """Return the bytes that the disk has given already for contents that are missing."""
        with os.scandir(self._place.objects) as begun:
            return sum(_allocated(one.stat(follow_symlinks=False)) for one in begun if one.name not in sources)

    def find(self) -> dict[str, Source]:
        """Return where wanted contents are on this machine, by digest. Every one was read."""
        self._account.enter(COMPARING)
        found: dict[str, list[Source]] = {}
        for sha256 in self._wanted:
            if os.path.lexists(path := self._content(sha256)):
                found[sha256] = [Source(path, True)]
        for name in self._place.names():
            other = self._place.manifest(name)
            for file in () if other is None else other.files:
                if file.sha256 in self._wanted:
                    path = os.path.join(self._place.release(name), *file.path.split("/"))
                    found.setdefault(file.sha256, []).append(Source(path, False))

        def choose(item: tuple[str, list[Source]], report: Report) -> Source | None:
            sha256, sources = item
            return next((one for one in sources if self._has(one, self._wanted[sha256], report)), None)

        chosen = work_on(list(found.items()), choose, READ_AT_ONCE, self._account.read)
        sources = {sha256: source for sha256, source in zip(found, chosen, strict=True) if source is not None}
        for sha256 in sources:
            self._account.move(self._wanted[sha256].size, True)
        return sources

    def _has(self, source: Source, file: FileEntry, report: Report) -> bool:
        """Return True if a file has a content. One of ours that has not is removed."""
        try:
            if os.lstat(source.path).st_size == file.size and digest_of(source.path, report) == file.sha256:
                return True
            if source.is_ours:
                os.unlink(source.path)
        except OSError:
            pass  # it is not there any more, or cannot be read: then it is fetched
        return False

    def ask(self, files: list[FileEntry]) -> None:
        """Find out whether the store has all contents, before any of them is asked for.

        Raises:
            ManifestError: It has not.
        """

        def look(file: FileEntry, report: Report) -> None:
            key = self._at.object_key(file.sha256)
            head = self._at.head(key, lambda: report(0))
            where = f"{file.path!r}, {self._at.bucket}/{key}"
            if head is None:
                raise ManifestError(f"a file of the release is not at the store, or this key may not read it: {where}")
            size, sha256 = head.get("ContentLength", file.size), stored_digest_of(head)
            if size != file.size or sha256 not in (None, file.sha256):
                raise ManifestError(f"a file of the release is not at the store as the manifest says: {where}")

        work_on(files, look, ASKED_AT_ONCE, self._account.move)

    def fetch(self, files: list[FileEntry]) -> tuple[dict[str, Source], list[TransferResult]]:
        """Fetch contents. Return where they are, by digest, and what each took.

        Raises:
            IntegrityError: One is not what its digest says.
            ManifestError: One has another size.
        """
        self._account.enter(RECEIVING)
        results = work_on(files, self._fetch, self._jobs, self._account.move)
        return {file.sha256: Source(self._content(file.sha256), True) for file in files}, results

    def _fetch(self, file: FileEntry, report: Report) -> TransferResult:
        path, key = self._content(file.sha256), self._at.object_key(file.sha256)
        progress = Transferring(report, bytes_kept(path), file.size)
        result = self._at.manager.fetch(self._at.bucket, key, path, progress, file.sha256)
        if result.size != file.size:
            raise ManifestError(f"{file.path!r} has {result.size} bytes, and not {file.size} as the manifest says")
        return result

    def _content(self, sha256: str) -> str:
        return os.path.join(self._place.objects, sha256)


def _allocated(status: os.stat_result) -> int:
    """Return the bytes that a file takes on the disk; about so, where the system does not say."""
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512
