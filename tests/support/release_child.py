"""A process that publishes, installs, rolls back or prunes, and stops or dies at chosen moments.

Its argument is JSON: what to ``call``, with which ``arguments`` and ``options``, and the ``url`` of the store and the
``keys``. ``kill_at`` is the moment at which it kills itself: its number, or a pattern of the call that follows. With
``stops``, it prints a line at each moment, and goes on when it reads one; without ``syncs``, it leaves these out.
"""

import json
import os
import re
import signal
import sys
import threading

from boto3.s3.transfer import TransferConfig

import cdn_release
from cdn_engine import _disk
from cdn_manager import CDNCredentials, CDNManager

# After each of these, a disk has something else than before.
_CALLS = {
    os: ["chmod", "fchmod", "fdatasync", "fsync", "link", "mkdir", "remove", "rename", "replace", "rmdir", "symlink",
         "truncate", "unlink"],
    _disk: ["create_locked", "rename_all", "sync", "sync_all"],
}  # fmt: skip
_PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)


class Moments:
    """Calls ``act`` before each call that changes a disk, one thread at a time, with the number of the moment."""

    def __init__(self, act):
        self._act = act
        self._lock = threading.RLock()
        self._count = 0
        for module, names in _CALLS.items():
            for name in filter(module.__dict__.__contains__, names):
                setattr(module, name, self._wrap(name, getattr(module, name)))

    def _wrap(self, name, call):
        def wrapped(*arguments, **options):
            with self._lock:
                self._count += 1
                self._act(self._count, f"{name} {arguments}")
            return call(*arguments, **options)

        for supporting in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if call in supporting:
                supporting.add(wrapped)
        return wrapped


def main(order):
    def die_in_time(number, what):
        if number == kill_at or (isinstance(kill_at, str) and re.search(kill_at, what)):
            os.kill(os.getpid(), signal.SIGKILL)

    def stop(_, what):
        print(what, flush=True)
        sys.stdin.readline()

    order = json.loads(order)
    if kill_at := order["kill_at"]:
        Moments(die_in_time)
    elif order["stops"]:
        if not order["syncs"]:
            os.fsync = _disk.sync = lambda _: None
            _disk.sync_all = lambda descriptors: [None] * len(descriptors)
        Moments(stop)
    call = getattr(cdn_release, order["call"])
    if call in (cdn_release.rollback, cdn_release.prune):
        return call(*order["arguments"], **order["options"])
    with CDNManager(CDNCredentials(order["url"], *order["keys"]), None, _PARTS) as manager:
        return call(manager, *order["arguments"], **order["options"])


if __name__ == "__main__":
    main(sys.argv[1])
