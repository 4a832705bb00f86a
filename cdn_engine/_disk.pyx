# cython: language_level=3
"""System calls for files that Python lacks, and some that are many at once: each call from Python gives up its lock.

Where a system lacks a call, its error is ``ENOSYS``.
"""

import errno
import os

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EINTR, ENOENT

__all__ = [
    "APPEND_ONLY", "IMMUTABLE", "MOUNT_POINT", "NOT_SUPPORTED", "allocate", "attributes", "create_locked", "has_any",
    "open_directory", "rename_all", "sync", "sync_all",
]

cdef extern from *:
    """
    #include <errno.h>
    #if defined(_WIN32)
    #include <io.h>
    #else
    #include <fcntl.h>
    #include <stdio.h>
    #include <sys/file.h>
    #include <sys/stat.h>
    #include <unistd.h>
    #endif

    typedef struct {
        int directory;
        const char *source, *name;
        int failure;
    } cdn_rename;

    /* posix_fallocate writes every block where the file system cannot reserve (glibc); fallocate says so instead. */
    static int cdn_allocate(int descriptor, long long size) {
    #if defined(__linux__)
        return fallocate(descriptor, 0, 0, (off_t)size) == 0 ? 0 : errno;
    #else
        (void)descriptor; (void)size;
        return ENOSYS;
    #endif
    }

    /* Begins to write what is dirty of a file, and does not wait: fsync does, and tells of errors. */
    static void cdn_begin_sync(int descriptor) {
    #if defined(__linux__) && defined(SYNC_FILE_RANGE_WRITE)
        (void)sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
    #else
        (void)descriptor;
    #endif
    }

    static int cdn_sync(int descriptor) {
    #if defined(_WIN32)
        return _commit(descriptor) == 0 ? 0 : errno;
    #else
    #if defined(F_FULLFSYNC)
        /* On macOS, fsync leaves the data in the drive's own cache, which a power cut empties. */
        if (fcntl(descriptor, F_FULLFSYNC) == 0) return 0;
        if (errno != EINVAL && errno != ENOTSUP && errno != ENOTTY) return errno;
    #endif
        return fsync(descriptor) == 0 ? 0 : errno;
    #endif
    }

    /* Gives the attributes that the file system reports; none where the system lacks the call. */
    static int cdn_attributes(int directory, const char *name, unsigned long long *attributes) {
        *attributes = 0;
    #if defined(__linux__) && defined(STATX_BASIC_STATS)
        struct statx found;
        if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BASIC_STATS, &found) != 0) return errno;
        *attributes = found.stx_attributes;
        return 0;
    #else
        (void)directory; (void)name;
        return ENOSYS;
    #endif
    }

    #if defined(_WIN32)

    static int cdn_open_directory(int parent, const char *path, int flags, int *descriptor,
                                  unsigned long long *device, unsigned long long *inode) {
        (void)parent; (void)path; (void)flags; (void)descriptor; (void)device; (void)inode;
        return ENOSYS;
    }

    static int cdn_create_locked(int directory, const char *name, int flags, int *descriptor) {
        (void)directory; (void)name; (void)flags; (void)descriptor;
        return ENOSYS;
    }

    static int cdn_look(int directory, const char *name) {
        (void)directory; (void)name;
        return ENOSYS;
    }

    static int cdn_replace(int directory, const char *source, const char *name) {
        (void)directory; (void)source; (void)name;
        return ENOSYS;
    }

    #else

    static int cdn_open_directory(int parent, const char *path, int flags, int *descriptor,
                                  unsigned long long *device, unsigned long long *inode) {
        struct stat found;
        *descriptor = openat(parent, path, flags);
        if (*descriptor < 0) return errno;
        if (fstat(*descriptor, &found) != 0) {
            int failure = errno;
            close(*descriptor);
            return failure;
        }
        *device = found.st_dev;
        *inode = found.st_ino;
        return 0;
    }

    /* Another process may have locked and renamed the file before it is locked here: EAGAIN says so too. */
    static int cdn_create_locked(int directory, const char *name, int flags, int *descriptor) {
        struct stat ours, found;
        int failure = EAGAIN;
        *descriptor = openat(directory, name, flags | O_CREAT | O_EXCL, 0666);
        if (*descriptor < 0) return errno;
        if (flock(*descriptor, LOCK_EX | LOCK_NB) != 0) failure = errno;
        else if (fstat(*descriptor, &ours) == 0 && fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                 ours.st_dev == found.st_dev && ours.st_ino == found.st_ino) return 0;
        close(*descriptor);
        return failure;
    }

    static int cdn_look(int directory, const char *name) {
        struct stat found;
        return fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    }

    static int cdn_replace(int directory, const char *source, const char *name) {
        return renameat(directory, source, directory, name) == 0 ? 0 : errno;
    }

    #endif
    """
    ctypedef struct cdn_rename:
        int directory
        const char *source
        const char *name
        int failure

    int cdn_allocate(int descriptor, long long size) nogil
    void cdn_begin_sync(int descriptor) nogil
    int cdn_sync(int descriptor) nogil
    int cdn_attributes(int directory, const char *name, unsigned long long *attributes) nogil
    int cdn_open_directory(
        int parent, const char *path, int flags, int *descriptor, unsigned long long *device, unsigned long long *inode
    ) nogil
    int cdn_create_locked(int directory, const char *name, int flags, int *descriptor) nogil
    int cdn_look(int directory, const char *name) nogil
    int cdn_replace(int directory, const char *source, const char *name) nogil

# Bits of Linux' stx_attributes, as its linux/stat.h has them.
IMMUTABLE = 0x10
APPEND_ONLY = 0x20
MOUNT_POINT = 0x2000

# What a system or a file system answers if it lacks the call.
NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.EOPNOTSUPP})


def allocate(int descriptor, long long size):
    """Reserve disk space for a file.

    Args:
        descriptor: The file, open for writing.
        size: Length to reserve, in bytes from the start of the file.

    Returns:
        True if the space is reserved; False if the system or the file system cannot reserve.

    Raises:
        OSError: There is not enough space, or whatever the file system reports.
    """
    cdef int failure = errno.EINTR
    while failure == errno.EINTR:
        PyErr_CheckSignals()
        with nogil:
            failure = cdn_allocate(descriptor, size)
    if failure and failure not in NOT_SUPPORTED:
        raise _error(failure)
    return not failure


def sync(int descriptor):
    """Write a file or directory to the disk itself: ``F_FULLFSYNC`` on macOS, ``fsync`` elsewhere.

    Args:
        descriptor: The file or directory.

    Raises:
        OSError: Data may be lost.
    """
    cdef int failure = errno.EINTR
    while failure == errno.EINTR:
        PyErr_CheckSignals()
        with nogil:
            failure = cdn_sync(descriptor)
    if failure:
        raise _error(failure)


def sync_all(descriptors):
    """Write several files to the disk as ``sync`` does, which takes hardly longer than for one of them.

    Args:
        descriptors: The files.

    Returns:
        For each file the ``OSError`` that ``sync`` would raise; None if its data is on the disk.
    """
    cdef int count = len(descriptors), index
    cdef int *numbers = <int *>PyMem_Malloc(count * sizeof(int))  # descriptors, then failures
    if not numbers:
        raise MemoryError
    try:
        for index in range(count):
            numbers[index] = descriptors[index]
        with nogil:
            for index in range(count):
                cdn_begin_sync(numbers[index])
            for index in range(count):
                numbers[index] = _sync(numbers[index])
        return [_error(numbers[index]) if numbers[index] else None for index in range(count)]
    finally:
        PyMem_Free(numbers)


def rename_all(renames):
    """Rename several files, each within its directory, and replace what has the new name.

    Args:
        renames: For each file the descriptor of the directory, the old name and the new one.

    Returns:
        For each file the ``OSError`` of its renaming; None if it has its new name.
    """
    cdef int count = len(renames), index
    cdef cdn_rename *files = <cdn_rename *>PyMem_Malloc(count * sizeof(cdn_rename))
    if not files:
        raise MemoryError
    try:
        for index, (directory, source, name) in enumerate(renames):  # which keeps the names alive
            files[index] = cdn_rename(directory, _text(source), _text(name), EINTR)
        with nogil:
            for index in range(count):
                while files[index].failure == EINTR:
                    files[index].failure = cdn_replace(files[index].directory, files[index].source, files[index].name)
        return [_error(files[index].failure) if files[index].failure else None for index in range(count)]
    finally:
        PyMem_Free(files)


def open_directory(int parent, bytes path not None, int flags):
    """Open a directory.

    Args:
        parent: Descriptor of the directory that a relative path is taken from.
        path: Its path.
        flags: As for ``os.open``.

    Returns:
        The descriptor, and device and inode, which together tell it from every other directory.

    Raises:
        OSError: It cannot be opened.
    """
    cdef int failure = EINTR, descriptor
    cdef unsigned long long device, inode
    cdef const char *where = _text(path)
    while failure == EINTR:
        PyErr_CheckSignals()
        with nogil:
            failure = cdn_open_directory(parent, where, flags, &descriptor, &device, &inode)
    if failure:
        raise _error(failure)
    return descriptor, (device, inode)


def create_locked(int directory, bytes name not None, int flags):
    """Create a file with the permissions of a plain ``open()``, locked by ``flock``.

    Args:
        directory: Descriptor of the directory.
        name: The file's name, which must be free.
        flags: As for ``os.open``.

    Returns:
        The descriptor.

    Raises:
        FileExistsError: There is something of this name.
        BlockingIOError: Another process has locked it first.
        OSError: It cannot be created or locked.
    """
    cdef int failure, descriptor
    cdef const char *entry = _text(name)
    with nogil:
        failure = cdn_create_locked(directory, entry, flags, &descriptor)
    if failure:
        raise _error(failure)
    return descriptor


def has_any(int directory, list names not None):
    """Tell whether a directory has an entry of one of several names.

    Args:
        directory: Descriptor of the directory.
        names: The names, as bytes.

    Returns:
        False if it certainly has none of them.
    """
    cdef int count = len(names), index, failure = ENOENT
    cdef const char **entries = <const char **>PyMem_Malloc(count * sizeof(char *))
    if not entries:
        raise MemoryError
    try:
        for index in range(count):
            entries[index] = _text(names[index])
        with nogil:
            for index in range(count):
                failure = cdn_look(directory, entries[index])
                if failure != ENOENT:
                    break
        return failure != ENOENT
    finally:
        PyMem_Free(entries)


def attributes(int directory, bytes name not None):
    """Say what keeps an entry from being replaced (Linux ``statx``).

    Args:
        directory: Descriptor of the directory.
        name: The entry, a link itself; empty for the directory.

    Returns:
        ``IMMUTABLE``, ``APPEND_ONLY`` and ``MOUNT_POINT``, as far as the system and the file system tell, and other
        bits; 0 if there is no such entry.
    """
    cdef unsigned long long found
    cdef const char *entry = _text(name)
    with nogil:
        cdn_attributes(directory, entry, &found)
    return found


cdef int _sync(int descriptor) noexcept nogil:
    """Return why a file is not on the disk, 0 if it is. For threads that handle no signals."""
    cdef int failure = cdn_sync(descriptor)
    while failure == EINTR:
        failure = cdn_sync(descriptor)
    return failure


cdef const char *_text(bytes text) except NULL:
    """Return a name or path for C, as long as the object lives."""
    if 0 in text:
        raise ValueError("embedded null byte")
    return text


cdef object _error(int failure):
    return OSError(failure, os.strerror(failure))
