"""Takes releases back from a store, with the content that no other release needs."""

import contextlib
import math
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from botocore.exceptions import ClientError

from cdn_engine.download.listing import Entry
from cdn_engine.errors import explain
from cdn_engine.log import log
from cdn_engine.phases import Progress
from cdn_engine.wire import retry
from cdn_manager import TRANSFER_ERRORS, CDNManager
from cdn_release.errors import ReleaseBusyError, ReleaseError
from cdn_release.listing import name_in, read_manifest
from cdn_release.memory import Memory
from cdn_release.repository import ASKED_AT_ONCE, Repository
from cdn_release.workers import Report, work_on

__all__ = ["Unpublished", "unpublish"]

_SHA256 = re.compile("[0-9a-f]{64}")

# Objects that are removed between two looks at whether that is still safe. A look costs three requests.
_REMOVED_UNSEEN = 256

# Seconds in which our marker is removed after a failure or Ctrl-C, as long as an upload takes to abort what it began.
_PATIENCE = 10.0

_TOKEN = 16  # bytes; no two removals have the same


class Unpublished(NamedTuple):
    """What was taken back.

    Attributes:
        name: The release's name.
        found: False if there was no such release. Without a read key that may list, nobody can tell, and it is True.
        removed: How many objects were removed that no release needs.
        size: Their bytes.
    """

    name: str
    found: bool
    removed: int
    size: int


def unpublish(
    manager: CDNManager,
    bucket: str,
    name: str,
    *,
    prefix: str = "",
    collect: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Unpublished:
    """Take a release back: nobody can install it any more. Where it is installed, it stays.

    Args:
        manager: Its write key must be allowed to delete; with ``collect``, its read key to read and to list.
        bucket: The bucket.
        name: The release's name.
        prefix: What the keys of the releases begin with.
        collect: Remove also the content that none of the remaining releases needs, whichever needed it once. This
            reads the manifests of all of them first. If one cannot be read, nothing is removed, this release neither.
            If the process is killed meanwhile, no publish begins until this was called again and has ended.
        progress: Called in the calling thread with 0, again and again. Raising in it ends the call.

    Raises:
        CredentialMissingError: The credentials have no write key; with ``collect``, no read key.
        ReleaseBusyError: A publish may be running, or another process removes content too.
        ManifestError: One of the remaining manifests is none. Nothing was removed.
        ReleaseError: ``name`` cannot be the name of a release, or some objects could not be removed.
        botocore.exceptions.ClientError, other exceptions of ``TRANSFER_ERRORS``: The store refused, or the network
            failed.

    Thread-safety: safe, also from several processes: of two that remove content, the later one goes on.
    """
    repository = Repository(manager, bucket, prefix)
    memory = Memory(repository.writer.store.url, bucket, repository.manifest_key(name))
    memory.forget()  # before, in case this process dies in between
    try:
        if not collect:
            found, keys = _keys_of(repository, name)
            for key in keys:
                repository.remove(key)
            return Unpublished(name, found, 0, 0)
        next(repository.entries(repository.collecting), None)  # a key that may not list is to leave no marker
        collection = _Collection(repository, lambda pulse: Repository(manager, bucket, prefix, pulse), progress)
        with _collecting(repository, collection):
            return collection.run(name)
    finally:
        memory.forget()  # after, because a publish may have ended in between


def _keys_of(repository: Repository, name: str) -> tuple[bool, list[str]]:
    """Return whether there is a release, and the keys of its manifest and of its signatures, in this order."""
    manifest = repository.manifest_key(name)
    if not repository.can_read:
        return True, [manifest]
    signature = re.compile(re.escape(f"{repository.releases}{name}.") + r"[0-9a-f]{64}\.sig")
    try:
        listed = [entry.key for entry in repository.entries(f"{repository.releases}{name}.")]
    except ClientError as error:
        if not retry.is_forbidden(error):
            raise
        return True, [manifest]
    return manifest in listed, [manifest, *filter(signature.fullmatch, listed)]


@contextlib.contextmanager
def _collecting(repository: Repository, collection: "_Collection") -> Iterator[None]:
    """Keep publishes from beginning as long as objects may be removed."""
    has_ended = False
    try:
        repository.put(repository.collecting, collection.token)
        yield
        has_ended = True
    finally:
        try:
            collection.end(None if has_ended else _PATIENCE)
        except TRANSFER_ERRORS as error:
            text = f"no publish begins while {repository.bucket}/{repository.collecting} is there: {explain(error)}"
            if has_ended:
                raise ReleaseError(f"what no release needs was removed, but {text}; run this again") from error
            log(text)


class _Collection:
    """One removal of what no release needs.

    A publish puts its marker, then looks for ours and gives up if it is there; we put ours, then look for theirs. So
    one of the two always sees the other. Only a publish without a read key cannot look, so we look again and again: for
    its marker, then for what it has published if it has ended.

    Args:
        repository: Where the releases are.
        pulsing: Returns the same with a pulse, for a thread.
        progress: As for ``unpublish``.

    Attributes:
        token: The content of our marker. Another removal replaces it, and has this one end.
    """

    def __init__(
        self,
        repository: Repository,
        pulsing: Callable[[Callable[[], object]], Repository],
        progress: Callable[[int], object] | None,
    ) -> None:
        self.token = secrets.token_hex(_TOKEN).encode()
        self._repository = repository
        self._pulsing = pulsing
        self._progress = Progress(progress)
        self._known: set[str] | None = None  # names of the releases whose content stays; None until that is known
        self._failures: list[Exception] = []
        self._unanswered: set[str] = set()  # keys of objects that the store may still remove

    def run(self, name: str) -> Unpublished:
        """Remove a release, and what no other one needs. Nothing is removed before it is known what they need."""
        repository = self._repository
        self._refuse_company()
        found, keys = _keys_of(repository, name)
        others = self._names() - {name}
        needed: set[str] = set().union(*work_on(sorted(others), self._digests, ASKED_AT_ONCE, self._tell))
        unneeded = [entry for entry in self._listed(repository.objects) if self._may_go(entry.key, needed)]
        self._known = {*others, name}
        self._refuse_company()
        for key in keys:
            self._remove(key)
        self._known = others
        self._remove_objects(unneeded)
        if self._failures:
            raise ReleaseError(
                f"of {len(unneeded)} objects that no release needs, {len(self._failures)} could not be removed; run "
                f"this again. The first: {explain(self._failures[0])}"
            ) from self._failures[0]
        return Unpublished(name, found, len(unneeded), sum(entry.size or 0 for entry in unneeded))

    def end(self, patience: float | None) -> None:
        """Remove our marker: unless it is another's by now, or the store may still remove an object for us.

        Args:
            patience: Seconds after which a store that does not answer is given up; None for as long as it is tried.
        """
        end = time.monotonic() + (math.inf if patience is None else patience)

        def pulse() -> None:
            if time.monotonic() > end:
                raise TimeoutError("the store does not answer")

        if not self._unanswered and self._is_ours(self._pulsing(pulse)):
            self._repository.remove(self._repository.collecting)

    def _refuse_company(self) -> None:
        """Raise ReleaseBusyError if a publish may be running, or has ended since we looked, or another removal runs."""
        repository = self._repository
        if not self._is_ours(repository):
            raise ReleaseBusyError("another process has begun to remove what no release needs: leave it to that one")
        markers = (entry.key.removeprefix(repository.publishing) for entry in repository.entries(repository.publishing))
        if name := next(filter(None, markers), None):
            raise ReleaseBusyError(
                f"a publish of {name!r} is running, or was killed: run it again, or remove "
                f"{repository.bucket}/{repository.publishing}{name} if it is certain that it is not running"
            )
        if self._known is not None and (new := self._names() - self._known):
            raise ReleaseBusyError(f"{min(new)!r} was published meanwhile: run this again")

    def _names(self) -> set[str]:
        """Return the names of all releases."""
        names = (name_in(self._repository, entry.key) for entry in self._listed(self._repository.releases))
        return {name for name in names if name is not None}

    def _is_ours(self, repository: Repository) -> bool:
        try:
            return repository.get(repository.collecting, len(self.token)) == self.token
        except ClientError as error:
            if retry.status_of(error) != 404:
                raise
            return False

    def _listed(self, prefix: str) -> Iterator[Entry]:
        for entry in self._repository.entries(prefix):
            self._progress(0)
            yield entry

    def _tell(self, *_: object) -> None:
        self._progress(0)

    def _digests(self, name: str, report: Report) -> set[str]:
        manifest = read_manifest(self._pulsing(lambda: report(0)), name)
        return {file.sha256 for file in manifest.files}

    def _may_go(self, key: str, needed: set[str]) -> bool:
        sha256 = key.removeprefix(self._repository.objects)
        return _SHA256.fullmatch(sha256) is not None and sha256 not in needed

    def _remove_objects(self, entries: list[Entry]) -> None:
        """Remove objects. One that cannot be removed does not keep the others."""

        def remove(entry: Entry, report: Report) -> None:
            report(0)
            try:
                self._remove(entry.key)
            except TRANSFER_ERRORS as error:
                self._failures.append(error)

        for first in range(0, len(entries), _REMOVED_UNSEEN):
            if first:
                self._refuse_company()
            work_on(entries[first : first + _REMOVED_UNSEEN], remove, ASKED_AT_ONCE, self._tell)

    def _remove(self, key: str) -> None:
        self._unanswered.add(key)
        try:
            self._repository.remove(key)
        except ClientError as error:
            if (retry.status_of(error) or 500) < 500:
                self._unanswered.discard(key)
            raise
        self._unanswered.discard(key)
