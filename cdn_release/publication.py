"""Publishes a directory as a release: the contents first, the manifest, which makes it visible, last."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from cdn_engine.errors import explain
from cdn_engine.log import log
from cdn_engine.phases import COMPARING, FINISHING, HASHING, SENDING
from cdn_engine.upload.journal import bytes_kept
from cdn_engine.wire import retry
from cdn_manager import CDNManager, ObjectChangedError, ObjectExistsError, OutcomeUnknownError, TransferResult
from cdn_release.account import Account
from cdn_release.content import READ_AT_ONCE, entry_of, find_files
from cdn_release.errors import ReleaseBusyError, ReleaseExistsError, ReleaseMissingError
from cdn_release.manifest import FileEntry, Manifest, check_name
from cdn_release.memory import Memory
from cdn_release.repository import ASKED_AT_ONCE, Repository
from cdn_release.signature import KeySource, load_signing_key, sign
from cdn_release.workers import Report, Transferring, require_jobs, work_on

__all__ = ["Published", "publish"]


class Published(NamedTuple):
    """A release that is at the store.

    Attributes:
        name: Its name.
        sha256: Its identity: the SHA-256 of its manifest.
        files: How many files it has.
        size: Their bytes.
        sent: How many contents were sent; equal files are one.
        transferred: Bytes of them that crossed the network in this call.
        resumed_from: Bytes of them that an earlier, broken call had sent already.
        skipped: True if nothing was to be done: the release was there already.
    """

    name: str
    sha256: str
    files: int
    size: int
    sent: int
    transferred: int
    resumed_from: int
    skipped: bool


def publish(
    manager: CDNManager,
    bucket: str,
    directory: str | os.PathLike[str],
    name: str,
    *,
    prefix: str = "",
    signing_key: "KeySource | None" = None,
    jobs: int = 8,
    progress: Callable[[int], object] | None = None,
) -> Published:
    """Publish a directory. Only when all of it is stored, the release becomes visible.

    What the store has already is not sent again, whichever release it is from. After a failure, the next call goes on.

    Args:
        manager: Has a write key. With a read key too, the store is asked what it has; without one, a record tells what
            a broken publish from this machine has stored.
        bucket: The bucket.
        directory: The directory. Links to files are followed. Empty directories are not kept.
        name: The release's name.
        prefix: Precedes all keys, with a slash behind it.
        signing_key: An Ed25519 private key, to sign the release: PEM, or the path of its file. None to sign nothing.
        jobs: How many files are sent at a time.
        progress: Called in the calling thread with counts of bytes sent, as by ``CDNManager.store``. What is counted
            while its method ``phase`` was last told ``comparing`` was at the store already.

    Returns:
        What was done.

    Raises:
        ReleaseExistsError: Another release has this name. It is not changed.
        ReleaseBusyError: ``unpublish`` is removing objects there, or was killed while it did.
        ReleaseError: The directory or the name cannot be published.
        ObjectChangedError: A file changed meanwhile.
        SignatureError: The signing key cannot be used.
        CredentialMissingError: There is no write key.
        ValueError: ``jobs`` is less than 1.

    ``TRANSFER_ERRORS`` contains these but for ``ValueError``, and what ``CDNManager.store`` raises for a single file.

    Thread-safety: safe, also for the same name: one of several different releases is published, the others fail.
    """
    try:
        key = None if signing_key is None else load_signing_key(signing_key)
    finally:
        del signing_key  # it may be the key itself, and tracebacks have a frame's variables
    return _Publication(manager, bucket, prefix, name, jobs, Account(progress)).run(os.fspath(directory), key)


class _Publication:
    def __init__(
        self, manager: CDNManager, bucket: str, prefix: str, name: str, jobs: int, account: Account
    ) -> None:
        check_name(name)
        require_jobs(jobs)
        self._at = Repository(manager, bucket, prefix, account.pulse)
        self._name = name
        self._marker = self._at.publishing_key(name)
        self._jobs = jobs
        self._account = account
        self._paths: dict[str, str] = {}  # of the files, by digest
        host: str = self._at.writer.store.url
        self._memory = None if self._at.can_read else Memory(host, bucket, self._at.manifest_key(name))

    def run(self, directory: str, key: "KeySource | None") -> Published:
        manifest = self._read(directory)
        content = manifest.encode()
        signature = None if key is None else sign(content, key)
        contents = sorted(manifest.contents, key=lambda file: -file.size)
        is_visible = self._is_visible(manifest, content)
        if is_visible and not self._missing(contents, True) and self._is_signed(manifest, signature):
            if self._memory is not None or self._at.head(self._marker) is not None:
                self._take_back()  # of a publish that was killed when it had done all else
            if self._memory is not None:
                log(f"{self._name!r} is published as far as this machine remembers: without a downloader key the store "
                    "cannot be asked. If it was unpublished from another machine, unpublish it here too")  # fmt: skip
            return self._published(manifest, [], is_new=False)
        results: list[TransferResult] = []
        for _ in range(2):
            self._announce()  # only now it stays true what the store has
            is_visible = is_visible and self._is_visible(manifest, content)
            results += self._send(self._missing(contents, is_visible))
            if self._memory is not None or self._at.head(self._marker) is not None:
                break  # else another publish of this name has ended, and the release may have been removed since then
        self._account.enter(FINISHING)
        if signature is not None:
            if is_visible:
                log(f"{self._name!r} was published before: from now on it has the signature of this key, and no other")
            self._at.put(self._at.signature_key(self._name, manifest.sha256), signature)
        if not is_visible:
            self._show(content)
        if self._memory is not None:
            self._memory.finish(manifest.sha256)
        self._take_back()
        return self._published(manifest, results, is_new=True)

    def _read(self, directory: str) -> Manifest:
        """Hash all files."""
        found = find_files(directory)
        self._account.size = sum(os.stat(file).st_size for _, file in found)
        self._account.enter(HASHING)

        def read(item: tuple[str, str], report: Report) -> FileEntry:
            return entry_of(*item, report)

        entries = work_on(found, read, READ_AT_ONCE, self._account.read)
        self._paths = {entry.sha256: file for entry, (_, file) in zip(entries, found, strict=True)}
        manifest = Manifest.of(self._name, entries)
        self._account.size = sum(file.size for file in manifest.contents)
        return manifest

    def _is_visible(self, manifest: Manifest, content: bytes) -> bool:
        """Return True if this very release is at the store.

        Raises:
            ReleaseExistsError: Another one of its name is.
        """
        if self._memory is not None:
            return self._memory.published == manifest.sha256  # as far as is known here: it cannot be asked
        try:
            stored = self._at.manifest(self._name)
        except ReleaseMissingError:
            return False
        if stored != content:
            raise self._exists("another release")
        return True

    def _is_signed(self, manifest: Manifest, signature: bytes | None) -> bool:
        if signature is None or self._memory is not None:
            return signature is None
        # Ed25519 makes the same signature of the same manifest each time.
        digest = hashlib.sha256(signature).hexdigest()
        return self._at.has(self._at.signature_key(self._name, manifest.sha256), digest, len(signature))

    def _announce(self) -> None:
        """Keep ``unpublish`` from removing what this publish needs."""
        if self._memory is not None:
            try:
                self._at.put(self._marker, b"", overwrite=False)
            except ObjectExistsError:
                return
            except OutcomeUnknownError:
                pass
            self._memory.doubt()  # nothing kept what an earlier call has stored from being removed
            return
        was_there = self._at.head(self._marker) is not None
        self._at.put(self._marker, b"")
        if self._at.head(self._at.collecting) is not None:
            if not was_there:  # else it may be that of another publish, which still needs it
                self._take_back()
            raise ReleaseBusyError(
                "what no release needs is being removed there: publish when that has ended; if it was killed, end it "
                "with unpublish --collect"
            )

    def _take_back(self) -> None:
        """Remove the announcement."""
        try:
            self._at.remove(self._marker)
        except ClientError as error:
            if retry.status_of(error) != 403:
                raise
            log(f"{self._at.bucket}/{self._marker} could not be removed with the uploader key: {explain(error)}; as "
                "long as it is there, unpublish --collect refuses to remove anything")  # fmt: skip

    def _missing(self, contents: list[FileEntry], is_visible: bool) -> list[FileEntry]:
        """Return those contents that are to be sent."""
        self._account.enter(COMPARING)

        def ask(file: FileEntry, report: Report) -> bool:
            if self._memory is None:
                key = self._at.object_key(file.sha256)
                is_there = self._at.has(key, file.sha256, file.size, lambda: report(0))
            else:
                is_there = is_visible or self._memory.has(file.sha256)
            report(file.size if is_there else 0, True)
            return is_there

        found = work_on(contents, ask, ASKED_AT_ONCE, self._account.move)
        return [file for file, is_there in zip(contents, found, strict=True) if not is_there]

    def _send(self, files: list[FileEntry]) -> list[TransferResult]:
        """Send contents, and remember which have been stored if the store cannot be asked."""
        stored: list[str] = []
        self._account.enter(SENDING)

        def send(file: FileEntry, report: Report) -> TransferResult:
            result = self._store(file, report)
            stored.append(file.sha256)
            return result

        def tell(*news: Any) -> None:
            if self._memory is not None:
                self._memory.note(stored)
            self._account.move(*news)

        try:
            return work_on(files, send, self._jobs, tell)
        finally:
            if self._memory is not None:
                self._memory.note(stored, at_once=True)

    def _store(self, file: FileEntry, report: Report) -> TransferResult:
        key, path = self._at.object_key(file.sha256), self._paths[file.sha256]
        progress = Transferring(report, bytes_kept(self._at.writer.store.url, self._at.bucket, key, file.size))
        try:
            return self._at.manager.store(self._at.bucket, key, path, progress, sha256=file.sha256)
        except ObjectChangedError as error:
            raise ObjectChangedError(f"{path!r} changed: publish the directory when nothing writes to it") from error

    def _show(self, content: bytes) -> None:
        """Store the manifest: from now on the release is visible."""
        try:
            self._at.put(self._at.manifest_key(self._name), content, overwrite=False)
        except (ObjectExistsError, OutcomeUnknownError) as error:
            found = None
            if self._at.can_read:
                with contextlib.suppress(ReleaseMissingError):  # this key may not read it
                    found = self._at.manifest(self._name)
            if found == content:
                return  # another publish of the same was faster, or the answer to this one was lost
            if found is None and isinstance(error, OutcomeUnknownError):
                raise
            self._take_back()
            raise self._exists("another release" if found else "a release, perhaps this one,") from error

    def _exists(self, what: str) -> ReleaseExistsError:
        return ReleaseExistsError(
            f"{what} is at the store as {self._name!r}, and is never changed: publish under another name"
        )

    def _published(self, manifest: Manifest, results: list[TransferResult], is_new: bool) -> Published:
        return Published(
            self._name, manifest.sha256, len(manifest.files), manifest.size, len(results),
            sum(result.transferred for result in results), sum(result.resumed_from for result in results), not is_new,
        )  # fmt: skip
