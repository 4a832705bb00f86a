"""File systems of other kinds than this machine's own, and what a power cut would leave of them.

Each is in an image file. That of a ``Disk`` is itself in an XFS, where a copy takes no time and is of one instant: what
the kernel has not written to the image yet is not in the copy, as it would not be on a disk.
"""

import contextlib
import os
import shutil
import subprocess

import pytest

_MEGABYTES = {"ext4": 64, "xfs": 320, "btrfs": 256, "ntfs": 16, "exfat": 16}  # about the least that each can have
_MAKE = {
    "ext4": ("mkfs.ext4", "-q"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
    "ntfs": ("mkntfs", "--quick", "--force"),
    "exfat": ("mkfs.exfat",),
}
_MOUNT = {
    "ext4": ("mount", "-t", "ext4", "-o", "loop"),
    "xfs": ("mount", "-t", "xfs", "-o", "loop,nouuid"),  # a copy has the UUID of the original
    "btrfs": ("mount", "-t", "btrfs", "-o", "loop"),
    "ntfs": ("lowntfs-3g", "-o", "ignore_case"),  # as on Windows
    "exfat": ("mount.exfat-fuse",),
}

# From linux/btrfs.h.
_BTRFS_START_SYNC = 0x80089418
_BTRFS_WAIT_SYNC = 0x40089416


class Disk:
    """A new file system, mounted during the ``with`` block.

    Args:
        folder: A directory for the images.
        kind: ``ext4``, ``xfs`` or ``btrfs``.

    Attributes:
        path: Where it is mounted.
    """

    def __init__(self, folder, kind):
        self._folder, self._kind = folder, kind
        self.path = folder / "disk"
        self._images = folder / "images"
        self._closing = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as closing:
            closing.enter_context(_mounted("xfs", _made("xfs", self._folder / "host.img", 4096), self._images))
            image = _made(self._kind, self._images / "disk.img")
            closing.enter_context(_mounted(self._kind, image, self.path))
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_):
        self._closing.close()

    @contextlib.contextmanager
    def cut(self):
        """Mount what a power cut would leave now. Yield where."""
        copy = self._images / "cut.img"
        _run("cp", "--reflink=always", self._images / "disk.img", copy)
        with _mounted(self._kind, copy, self._folder / "cut"):
            yield self._folder / "cut"

    def commit(self):
        """Write all changes of names, and no data, to the disk: as when another program syncs a file of its own."""
        descriptor = os.open(self.path / "of another program", os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(descriptor, os.urandom(1), 0)
            if self._kind == "btrfs":  # where a sync of a file is of that file alone
                import fcntl  # here, because Windows has none

                number = fcntl.ioctl(descriptor, _BTRFS_START_SYNC, bytes(8))
                fcntl.ioctl(descriptor, _BTRFS_WAIT_SYNC, number)
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def new_file_system(folder, kind):
    """Mount a new file system of a kind: ``ntfs``, which takes names for one that differ in case, or ``exfat``,

    which knows neither links nor modes as well. Yield where.
    """
    with _mounted(kind, _made(kind, folder / f"{kind}.img"), folder / kind):
        yield folder / kind


def skip_without(*kinds):
    """Skip the test if this machine does not let this user mount such file systems."""
    programs = {"losetup", *(command[kind][0] for command in (_MAKE, _MOUNT) for kind in kinds)}
    missing = [name for name in programs if _find(name) is None]
    if missing or not hasattr(os, "geteuid") or os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        pytest.skip(f"mounting {', '.join(kinds)} takes root, loop devices, and programs: missing are {missing}")


def _find(program):
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _made(kind, image, megabytes=None):
    with image.open("wb") as file:
        file.truncate((megabytes or _MEGABYTES[kind]) << 20)
    _run(*_MAKE[kind], image)
    return image


@contextlib.contextmanager
def _mounted(kind, image, path):
    path.mkdir(exist_ok=True)
    with contextlib.ExitStack() as closing:
        if kind == "exfat":  # its driver wants a device
            image = _run("losetup", "--find", "--show", image).strip()
            closing.callback(_run, "losetup", "--detach", image)
        _run(*_MOUNT[kind], image, path)
        closing.callback(_run, "umount", path)  # lets go of a loop device that `mount` has made
        yield


def _run(program, *arguments):
    done = subprocess.run([_find(program), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{program} {arguments}: {done.stderr}"
    return done.stdout
