"""A process that downloads one object, for tests that kill it, interrupt it, fill its disk or measure its memory."""

import errno
import os
import resource
import shutil
import sys
import threading
from pathlib import Path

from cdn_engine import _disk
from cdn_manager import CDNCredentials, CDNManager


def main(url, access_key, secret, bucket, key, *options):
    manager = CDNManager(CDNCredentials(url, access_key, secret))
    if "--fill" in options:
        return fill(manager, bucket, key)
    if "--unprivileged" in options and os.geteuid() == 0:
        become(65534, 65534)
    for option in options:
        if option.startswith("--user="):
            become(int(option.partition("=")[2]), 3000)
    announced = []

    def progress(_):
        if not announced:
            announced.append(True)  # before the signal can come that this line asks for
            print("flowing", flush=True)

    try:
        before = peak_memory()
        manager.fetch(bucket, key, progress=progress)
        if "--memory" in options:
            print(peak_memory() - before)
    except KeyboardInterrupt:
        count = sum(thread.name.startswith(("Main", "cdn")) for thread in threading.enumerate())
        print(f"interrupted with {count} thread", flush=True)


def become(user, group):
    "localhost".encode("idna")  # loads a module, which the user may not be able to read
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def peak_memory():
    """Return the most memory that this process has used so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, ru_maxrss starts with the memory of the parent
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fill(manager, bucket, key):
    """Fill the disk during the download, make room again, and resume. No space is reserved, as on macOS."""
    _disk.allocate = lambda *_: False
    filler = Path("filler")

    def progress(_):
        if not filler.exists():
            with filler.open("wb", buffering=0) as file:
                while shutil.disk_usage(".").free:
                    file.write(bytes(min(shutil.disk_usage(".").free, 1 << 16)))

    try:
        manager.fetch(bucket, key, progress=progress)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(error)
    filler.unlink()
    result = manager.fetch(bucket, key)
    print(result.resumed_from, result.size)


if __name__ == "__main__":
    main(*sys.argv[1:])
