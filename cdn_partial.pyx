# cython: language_level=3
"""The unfinished file of one download: its lock, its journal, and its installation under the final name.

Partial, journal and lock lie beside the final file under names that are made from its name, since a later process has
to find them. What lies there is used only if it is a regular file of this user with one link.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile

from filelock import FileLock, Timeout

from cdn_errors import DeadlineExceededError, UnsafePathError

# posix_fallocate writes every block where the file system cannot reserve (glibc); this call says so instead.
cdef extern from *:
    """
    #include <errno.h>
    #if defined(__linux__)
    #include <fcntl.h>
    static int cdn_allocate(int descriptor, long long size) {
        return fallocate(descriptor, 0, 0, (off_t)size) == 0 ? 0 : errno;
    }
    #else
    static int cdn_allocate(int descriptor, long long size) {
        (void)descriptor;
        (void)size;
        return ENOSYS;
    }
    #endif
    """
    int cdn_allocate(int descriptor, long long size) nogil

_JOURNAL_VERSION = 1
_JOURNAL_LIMIT = 1 << 20  # bytes; a journal has a few hundred
_RESERVED = 1 << 20  # bytes from which on the space is reserved: a smaller file is there before others take it
_SPARE = 4096  # bytes; one block of most file systems, and room for any journal

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

# What a file system says that has no call for the thing asked. The thing is then left out.
_NO_SUCH_CALL = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


class Partial:
    """The unfinished file beside ``final``.

    Args:
        final: The absolute path that the finished file will have.

    Thread-safety: ``open`` may be called from several threads, each uses its own handle. The rest is for the one
    thread that holds the lock.
    """

    def __init__(self, final):
        folder, name = os.path.split(final)
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
        stem = os.path.join(folder, f".cdn-{digest}")
        self.final = final
        self.folder = folder
        self.path = f"{stem}.part"
        self.journal_path = f"{stem}.journal"
        self.new_journal_path = f"{stem}.journal.new"
        self.lock_path = f"{stem}.lock"
        self.installed = False
        self._lost = None  # why bytes that were written may not be on disk
        self._held = None  # a descriptor of the file that this download writes; while it is open, no other is that file

    @contextlib.contextmanager
    def locked(self, timeout=None):
        """Hold the exclusive lock, which dies with its process; wait for it up to ``timeout`` seconds."""
        _stat_own(self.lock_path)
        lock = FileLock(self.lock_path, timeout=-1 if timeout is None else timeout)
        try:
            lock.acquire()
        except Timeout:
            raise DeadlineExceededError(
                f"another process was still downloading {self.final!r} after {timeout:g} s"
            ) from None
        try:
            yield
        finally:
            self._let_go()
            # Waiters notice that the file they have locked is no longer there, and start over with a new one.
            with contextlib.suppress(OSError):
                os.unlink(self.lock_path)
            lock.release()

    def create(self):
        """Make the partial if it is not there. From now on ``open`` opens this file and no other."""
        if self._held is None:
            self._held = _open_own(self.path, os.O_RDWR | os.O_CREAT)

    def _let_go(self):
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def open(self):
        """Return a new unbuffered read-write handle of the partial.

        Raises:
            FileNotFoundError: The partial was removed or replaced since ``create``. Going on with another file would
                spread the object over two.
        """
        file = os.fdopen(_open_own(self.path, os.O_RDWR), "r+b", buffering=0)
        if not os.path.samestat(os.fstat(file.fileno()), os.fstat(self._held)):
            file.close()
            raise FileNotFoundError(errno.ENOENT, "the unfinished file was replaced during the download", self.path)
        return file

    def size(self):
        """Return the partial's length in bytes, None if there is no partial."""
        found = _stat_own(self.path)
        return None if found is None else found.st_size

    def reserve(self, size):
        """Give the partial its full length, with the space for a large one where the system can promise that.

        Raises:
            OSError: ``ENOSPC`` with the number of bytes that are missing, or what else the file system objects.
        """
        with self.open() as file:
            there = os.fstat(file.fileno())
            held = there.st_blocks * 512 if hasattr(there, "st_blocks") else there.st_size
            missing = size - min(held, size) - shutil.disk_usage(self.folder).free
            if missing > 0:
                raise OSError(errno.ENOSPC, f"the disk is {missing} bytes too small for {size} bytes", self.final)
            try:
                if size >= _RESERVED:
                    _allocate(file.fileno(), size)
                    self._spare()
                file.truncate(size)
            except OSError as error:
                raise OSError(error.errno, f"no room for {size} bytes: {error.strerror}", self.final) from None

    def sync(self):
        """Put what was written to the partial on disk.

        Raises:
            OSError: It may not be there. Asked again, the system would say that it is, having forgotten what it lost;
                so that this is then the answer to every call.
        """
        if self._lost is not None:
            raise self._lost
        with self.open() as file:
            try:
                os.fsync(file.fileno())
            except OSError as error:
                self._lost = error
                raise

    def read_journal(self):
        """Return what ``write_journal`` was last given, None if there is none or it is damaged."""
        if _stat_own(self.journal_path) is None:
            return None
        with os.fdopen(_open_own(self.journal_path, os.O_RDONLY), "rb") as file:
            digest, _, body = file.read(_JOURNAL_LIMIT).partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        state = json.loads(body)
        return state if state.pop("journal") == _JOURNAL_VERSION else None

    def write_journal(self, state):
        """Put ``state`` on disk atomically. ``sync`` comes before it: what it vouches for has to be there."""
        body = json.dumps({"journal": _JOURNAL_VERSION, **state}).encode()
        with os.fdopen(_open_own(self.new_journal_path, os.O_WRONLY | os.O_CREAT), "wb") as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.new_journal_path, self.journal_path)
        self._spare()

    def _spare(self):
        """Take the disk space of the next journal, so that it can be written when the disk is full."""
        with contextlib.suppress(OSError):
            with os.fdopen(_open_own(self.new_journal_path, os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as file:
                file.write(bytes(_SPARE))

    def install(self):
        """Give the partial the final name, durably, and forget the journal."""
        self.sync()
        self._let_go()  # Windows renames no open file
        os.replace(self.path, self.final)
        self.installed = True
        self._sync_folder()
        for path in (self.journal_path, self.new_journal_path):
            _unlink_own(path)

    def discard(self):
        """Remove the partial and its journal, the journal first: it must never vouch for bytes that are gone."""
        self._let_go()
        _unlink_own(self.new_journal_path)
        if _unlink_own(self.journal_path):
            self._sync_folder()
        _unlink_own(self.path)

    def _sync_folder(self):
        if not hasattr(os, "O_DIRECTORY"):  # Windows has no handle of a directory to sync
            return
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:  # a folder that may be written and not read
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_SUCH_CALL:
                raise
        finally:
            os.close(descriptor)


def _allocate(int descriptor, long long size):
    """Reserve the space of a file, where there is a call for it. Elsewhere it is taken as the bytes come."""
    cdef int failure
    with nogil:
        failure = cdn_allocate(descriptor, size)
    if failure == errno.EINTR:
        return _allocate(descriptor, size)
    if failure and failure not in _NO_SUCH_CALL:
        raise OSError(failure, os.strerror(failure))


def _trusted(path, found):
    """Return True if the ``os.stat_result`` is one of a regular file of this user with one link."""
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        return False
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid() or found.st_uid == _owner_of_new(path)


def _owner_of_new(path):
    """Return whose a new file beside ``path`` is: not this user's, where the file system maps all users to one."""
    with tempfile.TemporaryFile(dir=os.path.dirname(path)) as file:
        return os.fstat(file.fileno()).st_uid


def _refuse(path):
    raise UnsafePathError(f"{path!r} is not a regular file of this user with one link: remove it and try again")


def _stat_own(path):
    """Return the ``os.stat_result`` of our file at ``path``, None if nothing is there."""
    # Asked and not tried: while an exception passes through it, compiled code loses a Ctrl-C that is just pending.
    if not os.path.lexists(path):
        return None
    try:
        found = os.lstat(path)
    except FileNotFoundError:  # the lock's holder has just removed it
        return None
    if not _trusted(path, found):
        _refuse(path)
    return found


def _open_own(path, flags):
    """Return a descriptor of our file at ``path``. A link is not followed, a device or pipe is not waited for."""
    _stat_own(path)
    # 0o666 less the umask: the permissions that a plain open() gives.
    descriptor = os.open(path, flags | _NOFOLLOW | _BINARY, 0o666)
    if not _trusted(path, os.fstat(descriptor)):
        os.close(descriptor)
        _refuse(path)
    return descriptor


def _unlink_own(path):
    """Remove our file at ``path``. Return True if it was there."""
    if _stat_own(path) is None:
        return False
    os.unlink(path)
    return True
