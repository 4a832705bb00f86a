# cython: language_level=3
"""The few system calls for files that Python lacks."""

import errno
import os

from cpython.exc cimport PyErr_CheckSignals

__all__ = [
    "APPEND_ONLY", "IMMUTABLE", "MOUNT_POINT", "NOT_SUPPORTED", "allocate", "attributes", "begin_sync", "sync",
]

cdef extern from *:
    """
    #include <errno.h>
    #if !defined(_WIN32)
    #include <fcntl.h>
    #include <sys/stat.h>
    #include <unistd.h>
    #endif

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

    /* Returns the attributes that the file system reports; none where the system lacks the call. */
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

    /* On macOS, fsync leaves the data in the drive's own cache, which a power cut empties. */
    static int cdn_fullfsync(int descriptor) {
    #if defined(F_FULLFSYNC)
        return fcntl(descriptor, F_FULLFSYNC) == 0 ? 0 : errno;
    #else
        (void)descriptor;
        return ENOSYS;
    #endif
    }
    """
    int cdn_allocate(int descriptor, long long size) nogil
    void cdn_begin_sync(int descriptor) nogil
    int cdn_fullfsync(int descriptor) nogil
    int cdn_attributes(int directory, const char *name, unsigned long long *attributes) nogil

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
    return _supported(failure)


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
            failure = cdn_fullfsync(descriptor)
    if not _supported(failure):
        os.fsync(descriptor)


def begin_sync(int descriptor):
    """Let the system begin to write a file to the disk, where it can (Linux ``sync_file_range``).

    Args:
        descriptor: The file.
    """
    with nogil:
        cdn_begin_sync(descriptor)


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
    cdef const char *entry = name
    with nogil:
        cdn_attributes(directory, entry, &found)
    return found


cdef bint _supported(int failure) except -1:
    if failure and failure not in NOT_SUPPORTED:
        raise OSError(failure, os.strerror(failure))
    return not failure
