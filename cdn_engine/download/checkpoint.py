"""Saves the state of a download for the next call, and restores it."""

import contextlib

from cdn_engine.download.journal import Record
from cdn_engine.download.partial import Partial
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.state import State
from cdn_engine.errors import lacks_descriptors

__all__ = ["Checkpoint"]


class Checkpoint:
    """Keeps journal and partial in step with the plan.

    Thread-safety: for one thread at a time, while the partial's lock is held.
    """

    def __init__(self, remote: RemoteObject, state: State, partial: Partial) -> None:
        self._remote = remote
        self._state = state
        self._partial = partial
        self._saved: int | None = None  # bytes that the journal vouches for

    def restore(self) -> None:
        """Take up what an earlier call has left, if its journal is about this object; otherwise discard it."""
        record = self._partial.journal.read()
        if (
            record is None
            or record.identity != self._remote.identity()
            or record.size != self._partial.size()
            or not self._partial.adopt()
        ):
            self._partial.discard()
            return
        state, size = self._state, record.size
        self._partial.reserve(size)
        state.version.resume(record.etag, record.sha256)
        state.plan.resume(size, record.finished)
        if not state.resumable:  # an earlier call knew the digest, this one does not
            self.discard()
            return
        state.resumed_from = self._saved = state.plan.on_disk
        if not state.plan.missing:  # ask for the last byte again: its answer serves as the stat
            state.plan.resume(size, [(0, size - 1)])

    def save(self) -> None:
        """Sync the data, then write the journal that vouches for it. A journal that cannot be written is no failure."""
        with self._state.lock:
            plan, version = self._state.plan, self._state.version
            on_disk = plan.on_disk
            if on_disk == self._saved or not self._state.resumable:
                return
            size, finished = plan.size, plan.finished()
            assert size is not None
        try:
            self._partial.reopen()
            self._partial.sync()
        except OSError as error:
            if lacks_descriptors(error):
                return
            raise
        # A full disk on which the object's own space is reserved; on Windows, a scanner that has the file open.
        with contextlib.suppress(OSError):
            record = Record(self._remote.identity(), size, version.etag, version.claimed, finished)
            self._partial.journal.write(record)
            self._saved = on_disk

    def keep(self) -> None:
        """Leave on disk what a later call can resume from, and nothing else."""
        if self._state.plan.on_disk and self._state.resumable:
            self.save()
        else:
            self.discard()

    def discard(self) -> None:
        """Discard what is on disk of the object, and what is known about it."""
        self._partial.discard()
        self._saved = None
        self._state.forget(self._state.plan.ranged)
