"""Compares a file with an object, without downloading that."""

import errno
import os
import stat
import time
from typing import Literal, NamedTuple

from botocore.exceptions import ClientError

from cdn_engine.download.answer import Answer, Version
from cdn_engine.download.existing import matches
from cdn_engine.download.remote import RemoteObject
from cdn_engine.download.settings import BLOCK
from cdn_engine.wire import retry
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.store import Store

__all__ = ["Comparison", "compare_file"]


class Comparison(NamedTuple):
    """What a comparison has found.

    Attributes:
        state: ``unverifiable`` if the object has neither a digest nor an ETag that is known to be made of MD5s. An
            ETag that is not the MD5 of the file does not prove that the content is another.
        size: The object's size in bytes; None if the store does not say.
        sha256: The digest in the object's metadata; None without one.
        verified_by: By what the content was recognized: ``sha256`` or ``md5``; None if it was not.
    """

    state: Literal["matches", "differs", "missing", "unverifiable"]
    size: int | None = None
    sha256: str | None = None
    verified_by: str | None = None


def compare_file(store: Store, bucket: str, key: str, path: str) -> Comparison:
    """Read a whole file, unless its size tells already, and compare it with what one HEAD request says of an object.

    Args:
        store: The store.
        bucket: The bucket.
        key: The object's key.
        path: The file.

    Raises:
        OSError: The file cannot be read, or is a pipe, socket or device, of which reading may never end.
        botocore.exceptions.ClientError: The store refused; other exceptions of botocore for network failures.

    Thread-safety: safe.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "neither a file nor a directory", path)
    with open(path, "rb", buffering=0) as file:
        try:
            head = RemoteObject(store, bucket, key, {}).head(Deadline(None), time.sleep, "nothing was compared")
        except ClientError as error:
            if retry.status_of(error) == 404:
                return Comparison("missing")
            raise
        version, size = Version(None), os.fstat(file.fileno()).st_size
        version.learn(Answer.of(head))
        stored = head.get("ContentLength")
        if stored not in (None, size):  # some stores leave it out
            return Comparison("differs", stored, version.sha256)
        if matches(iter(lambda: file.read(BLOCK), b""), size, version):
            return Comparison("matches", stored, version.sha256, version.verified_by)
        return Comparison("unverifiable" if version.sha256 is None else "differs", stored, version.sha256)
