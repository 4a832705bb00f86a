"""The unfinished file of one download: its lock, its disk space, and its installation under the final name.

Partial, journal and lock lie beside the final file, under names made from its name.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable
from io import FileIO

from cdn_engine import _disk
from cdn_engine.download.directory import Directory
from cdn_engine.download.folder import Folder
from cdn_engine.download.journal import Journal
from cdn_engine.download.lock import Lock
from cdn_engine.download.obstacle import check_final_name
from cdn_engine.download.own_file import open_own, stat_own, unlink_own
from cdn_engine.download.permissions import take_permissions
from cdn_engine.errors import UnsafePathError
from cdn_engine.paths import RESERVED_PREFIX, Target
from cdn_engine.wire.deadline import Deadline

__all__ = ["Partial"]

# Space is reserved for files from this size in bytes; a smaller one is written before others can take its space.
_RESERVED = 1 << 20

# A pipe that has just taken the name is not waited for.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)

_COPIED = 1 << 20  # bytes that are copied at a time


class Partial:
    """The unfinished file beside a target.

    Args:
        target: The file that it becomes.

    Attributes:
        final: The path of that file.
        folder: Its directory.
        stem: How the names of our files beside it begin.
        path: The unfinished file.
        journal: Its ``Journal``.
        lock_path: The lock file.
        is_begun: False if ``enter`` has found nothing that a download has to look at: no earlier file, and no
            unfinished one.

    Thread-safety: ``open`` may be called from several threads, which use handles of their own. The rest is for one
    thread at a time, not always the same.
    """

    def __init__(self, target: Target) -> None:
        digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32]
        stem = self.stem = f"{RESERVED_PREFIX}{digest}"
        self.final = os.fspath(target)
        self.path = os.path.join(target.folder, f"{stem}.part")
        self.folder = Folder(target)
        self._final_name = target.name
        self._name = f"{stem}.part"
        self._lock_name = f"{stem}.lock"
        self.lock_path = os.path.join(target.folder, self._lock_name)
        self._lock = Lock(self.folder, self._lock_name, self.final)
        self.journal = Journal(self.folder, f"{stem}.journal")
        self.is_begun = True
        self._lost: OSError | None = None  # why written bytes may not be on disk
        self._held: FileIO | None = None  # the file being written: while it is open, its inode cannot be reused

    def enter(self) -> None:
        """Make the directories, and find out whether the final name can be taken.

        Raises:
            UnsafePathError: A link was planted on the way.
            OSError: The file could not be installed; the error names what is in the way.
        """
        _locked.add(self)
        try:
            self.folder.enter()
            directory = self.folder.directory
            self.is_begun = directory.has_any([self._final_name, self.journal.name, self._lock_name])
            check_final_name(directory, self._final_name, self.is_begun)
        except BaseException:
            self.unlock()
            raise

    def lock(self, deadline: Deadline, on_wait: Callable[[], object] | None = None) -> None:
        """Take the exclusive lock, after ``enter``, which this does too if it was not done.

        Args:
            deadline: When to stop waiting for another process.
            on_wait: Called about twice a second while another process has the lock; may raise.

        Raises:
            DeadlineExceededError: Another process still has the lock.
            UnsafePathError: Something that is not ours has the name of one of our files, or a link was planted.
            OSError: The file cannot be locked; the error names what is in the way. Or as ``enter`` does.
        """
        try:
            if not self.folder.is_entered:
                self.enter()
            self._lock.acquire(deadline, on_wait)
        except BaseException:
            self.unlock()
            raise

    def unlock(self) -> None:
        """Let go of everything, and remove the lock file and new directories that are empty. May be called again."""
        try:
            self._unlock()
        except BaseException:  # Ctrl-C in the middle of it: the rest is done before that is passed on
            self._unlock()
            raise

    def _unlock(self) -> None:
        try:
            self._let_go()
        finally:
            try:
                self._lock.release()
            finally:
                self.folder.leave()
        _locked.discard(self)

    def bytes_kept(self) -> int:
        """Return how many bytes an earlier call has left, by its journal. Needs no lock."""
        if not os.path.lexists(os.path.join(os.path.dirname(self.path), self.journal.name)):
            return 0  # the usual case, and cheaper than opening the directories
        try:
            self.folder.enter(create=False)
            record = self.journal.read()
        except (FileNotFoundError, NotADirectoryError):
            return 0
        finally:
            self.folder.leave()
        return 0 if record is None else sum(stop - start for start, stop in record.finished)

    def adopt(self) -> bool:
        """Take over an existing partial, so that ``open`` opens it. Return False if there is none that can be used.

        Another user's partial that can be read and not written is copied.
        """
        try:
            try:
                self.reopen()
            except PermissionError:
                self._copy()
                self.reopen()
        except OSError:
            return False
        return True

    def create(self) -> None:
        """Create the partial if there is none. From now on ``open`` opens this file and no other."""
        if self._held is None:
            self._held = open_own(self.folder.directory, self._name, "r+", create=True)

    def reopen(self) -> None:
        """Hold the partial again after an installation that failed."""
        if self._held is None:
            self._held = open_own(self.folder.directory, self._name, "r+")

    def _copy(self) -> None:
        directory, copy = self.folder.directory, f"{self._name}.copy"
        unlink_own(directory, copy)
        try:
            with open_own(directory, self._name, "r") as theirs, open_own(directory, copy, "r+", create=True) as ours:
                while block := theirs.read(_COPIED):
                    if ours.write(block) < len(block):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.final)
                _disk.sync(ours.fileno())  # the journal vouches for it
            directory.replace(copy, self._name)
        except BaseException:
            unlink_own(directory, copy)
            raise

    def _let_go(self) -> None:
        held, self._held = self._held, None  # first, so that Ctrl-C leaves no closed file behind
        if held is not None:
            held.close()

    def abandon(self) -> None:
        """Close everything in a forked child, and leave it to the parent."""
        self._let_go()
        self._lock.abandon()
        self.folder.abandon()

    def open(self) -> FileIO:
        """Return a new unbuffered read-write handle.

        Raises:
            FileNotFoundError: The partial was removed or replaced since ``create``. Writing to another file would
                spread the object over two.
        """
        file = open_own(self.folder.directory, self._name, "r+")
        if self._held is None or not os.path.samestat(os.fstat(file.fileno()), os.fstat(self._held.fileno())):
            file.close()
            raise FileNotFoundError(errno.ENOENT, "the unfinished file was replaced during the download", self.path)
        return file

    def open_final(self) -> FileIO | None:
        """Open the file that has the final name already; None if there is none that can be compared."""
        directory, name = self.folder.directory, self._final_name
        try:
            if stat.S_ISREG(directory.stat(name).st_mode):
                return FileIO(directory.open_file(name, _READ), "r")
        except (FileNotFoundError, PermissionError):
            pass
        return None

    def size(self) -> int | None:
        """Return the partial's length in bytes; None if there is no partial."""
        found = stat_own(self.folder.directory, self._name)
        return None if found is None else found.st_size

    def reserve(self, size: int) -> None:
        """Give the partial its full length, and reserve the space of a large one where the system can.

        Raises:
            OSError: There is not enough space, or whatever the file system reports.
        """
        with self.open() as file:
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
        with self.open() as file:
            self._sync(file)

    def _sync(self, file: FileIO) -> None:
        if self._lost is None:
            try:
                _disk.sync(file.fileno())
            except OSError as error:
                self._lost = OSError(error.errno, f"what was written may be lost: {error.strerror}", self.final)
        if self._lost is not None:
            raise self._lost

    def install(self, is_wanted: Callable[[], bool] = lambda: True, date: Callable[[int], object] = int) -> None:
        """Move the partial to its final name, durably, and remove the journal.

        Args:
            is_wanted: Called when the data is on the disk; returns False to leave it at that.
            date: Called with the descriptor of the file before that; may set its times.

        Raises:
            OSError: Data may be lost, or the final name cannot be taken; the error names it. If the directory could
                not be synced, the file is there, and a power cut may undo that.
        """
        with self.open() as file:
            date(file.fileno())
            take_permissions(file, self.folder.directory, self._final_name)
            self._sync(file)
        if not is_wanted():
            return
        self._let_go()  # Windows renames no open file
        directory, source, name = self.renaming(self._name)
        directory.replace(source, name)
        self.folder.sync()
        with contextlib.suppress(OSError, UnsafePathError):  # the file is installed, come what may
            self.journal.remove()

    def renaming(self, name: str) -> tuple[Directory, str, str]:
        """Return what gives the final name to a file beside it: the directory, the old name and the new one."""
        return self.folder.directory, name, self._final_name

    def discard(self) -> None:
        """Remove the partial and its journal. The journal goes first: it must never vouch for bytes that are gone."""
        self._let_go()
        if self.journal.remove():
            self.folder.directory.sync()
        unlink_own(self.folder.directory, self._name)


_locked: set[Partial] = set()


def _abandon_all() -> None:
    for partial in _locked:
        partial.abandon()
    _locked.clear()


# A forked child that outlives its parent would keep the parent's lock.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
