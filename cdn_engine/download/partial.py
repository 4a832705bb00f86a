"""The unfinished file of one download: its lock, its disk space, and its installation under the final name.

Partial, journal and lock lie beside the final file, under names made from its name.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from io import FileIO

from filelock import FileLock, Timeout

from cdn_engine import _disk
from cdn_engine.download.journal import Journal
from cdn_engine.download.own_file import open_own, stat_own, unlink_own
from cdn_engine.errors import DeadlineExceededError
from cdn_engine.paths import RESERVED_PREFIX

__all__ = ["Partial"]

# Space is reserved for files from this size in bytes; a smaller one is written before others can take its space.
_RESERVED = 1 << 20


class Partial:
    """The unfinished file beside ``final``.

    Args:
        final: The absolute path that the finished file will have.

    Attributes:
        path: The unfinished file.
        journal: Its ``Journal``.
        lock_path: The lock file.

    Thread-safety: ``open`` may be called from several threads, which use handles of their own. The rest is for the
    one thread that holds the lock.
    """

    def __init__(self, final: str) -> None:
        folder, name = os.path.split(final)
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
        stem = os.path.join(folder, f"{RESERVED_PREFIX}{digest}")
        self.final = final
        self.folder = folder
        self.path = f"{stem}.part"
        self.journal = Journal(f"{stem}.journal")
        self.lock_path = f"{stem}.lock"
        self._lost: OSError | None = None  # why written bytes may not be on disk
        self._held: FileIO | None = None  # the file being written: while it is open, its inode cannot be reused

    @contextlib.contextmanager
    def locked(self, timeout: float | None = None) -> Iterator[None]:
        """Hold the exclusive lock, which the system releases if the process dies.

        Args:
            timeout: Seconds to wait for another holder; None to wait for as long as it takes.

        Raises:
            DeadlineExceededError: Another process still holds it.
        """
        stat_own(self.lock_path)
        lock = FileLock(self.lock_path, timeout=-1 if timeout is None else timeout)
        try:
            self._lock(lock)
            yield
        finally:
            self._let_go()
            if lock.is_locked:
                self._unlock(lock)

    def _lock(self, lock: FileLock) -> None:
        try:
            lock.acquire()
        except Timeout:
            raise DeadlineExceededError(
                f"another process was still downloading {self.final!r} after {lock.timeout:g} s"
            ) from None

    def _unlock(self, lock: FileLock) -> None:
        # Waiters notice that the file they have locked is gone, and start over with a new one.
        with contextlib.suppress(OSError):
            os.unlink(self.lock_path)
        try:
            lock.release()
        except BaseException:  # Ctrl-C in the middle of it would leave the path locked for this process
            lock.release(force=True)
            raise

    def create(self) -> None:
        """Create the partial if there is none. From now on ``open`` opens this file and no other."""
        if self._held is None:
            self._held = open_own(self.path, "r+", create=True)

    def reopen(self) -> None:
        """Hold the partial again after an installation that failed."""
        if self._held is None:
            self._held = open_own(self.path, "r+")

    def _let_go(self) -> None:
        held, self._held = self._held, None  # first, so that Ctrl-C leaves no closed file behind
        if held is not None:
            held.close()

    def open(self) -> FileIO:
        """Return a new unbuffered read-write handle.

        Raises:
            FileNotFoundError: The partial was removed or replaced since ``create``. Writing to another file would
                spread the object over two.
        """
        file = open_own(self.path, "r+")
        if self._held is None or not os.path.samestat(os.fstat(file.fileno()), os.fstat(self._held.fileno())):
            file.close()
            raise FileNotFoundError(errno.ENOENT, "the unfinished file was replaced during the download", self.path)
        return file

    def size(self) -> int | None:
        """Return the partial's length in bytes; None if there is no partial."""
        found = stat_own(self.path)
        return None if found is None else found.st_size

    def reserve(self, size: int) -> None:
        """Give the partial its full length, and reserve the space of a large one where the system can.

        Raises:
            OSError: ``ENOSPC`` with the number of missing bytes, or whatever the file system reports.
        """
        with self.open() as file:
            found = os.fstat(file.fileno())
            held = found.st_blocks * 512 if hasattr(found, "st_blocks") else found.st_size
            missing = size - min(held, size) - shutil.disk_usage(self.folder).free
            if missing > 0:
                raise OSError(errno.ENOSPC, f"the disk is {missing} bytes too small for {size} bytes", self.final)
            try:
                if size >= _RESERVED:
                    _disk.allocate(file.fileno(), size)
                    self.journal.reserve()
                file.truncate(size)
            except OSError as error:
                raise OSError(error.errno, f"no room for {size} bytes: {error.strerror}", self.final) from None

    def sync(self) -> None:
        """Write the partial's data to the disk.

        Raises:
            OSError: Data may be lost. Every later call raises it too: asked again, the system would report success,
                having forgotten what it lost.
        """
        if self._lost is not None:
            raise self._lost
        with self.open() as file:
            try:
                _disk.sync(file.fileno())
            except OSError as error:
                self._lost = error
                raise

    def install(self) -> None:
        """Move the partial to its final name, durably, and remove the journal."""
        self.sync()
        self._let_go()  # Windows renames no open file
        os.replace(self.path, self.final)
        self._sync_folder()
        self.journal.remove()

    def discard(self) -> None:
        """Remove the partial and its journal. The journal goes first: it must never vouch for bytes that are gone."""
        self._let_go()
        if self.journal.remove():
            self._sync_folder()
        unlink_own(self.path)

    def _sync_folder(self) -> None:
        if not hasattr(os, "O_DIRECTORY"):  # Windows has no handle for syncing a directory
            return
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:  # a folder that may be written but not read
            return
        try:
            _disk.sync(descriptor)
        except OSError as error:
            if error.errno not in _disk.NOT_SUPPORTED:
                raise
        finally:
            os.close(descriptor)
