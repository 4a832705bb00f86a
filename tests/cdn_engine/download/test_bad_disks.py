"""Disks that are too small, fill up, refuse to be written, or vanish."""

import errno
import os
import shutil
import subprocess

import pytest
from downloads import start_child
from objects import PART, SAMPLE_SIZE

from cdn_engine import _disk


def run_child(url, bucket, folder, *options, **settings):
    """Download in a process of its own. Return its standard output and error."""
    return start_child(url, bucket, "with-digest", folder, *options, stderr=subprocess.PIPE, **settings).communicate()


def on_small_disk(megabytes, folder):
    """Return the start of a command that runs a program with a small disk of its own at ``folder``."""
    script = f'mount -t tmpfs -o size={megabytes}m none "{folder}" && cd "{folder}" && exec "$@"'
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    prefix = [*unshare, "sh", "-c", script, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this system does not let this user mount a small disk")
    return prefix


def test_disk_that_is_too_small_is_reported_before_the_transfer(link, samples, open_folder):
    link.rate = PART
    _, errors = run_child(link.url, samples, open_folder, before=on_small_disk(4, open_folder))
    assert f"OSError: [Errno 28] no room for {SAMPLE_SIZE} bytes: " in errors
    assert repr(str(open_folder / samples / "with-digest")) in errors
    assert link.bytes_sent < SAMPLE_SIZE // 2


def test_disk_that_fills_up_leaves_a_resumable_partial(link, samples, open_folder):
    link.rate = 3 * PART
    output, _ = run_child(link.url, samples, open_folder, "--fill", before=on_small_disk(12, open_folder))
    assert f"of {SAMPLE_SIZE} bytes are kept for the next call" in output
    resumed, size = output.split()[-2:]
    assert 0 < int(resumed) < int(size) == SAMPLE_SIZE


def test_failed_reservation_tells_how_many_bytes_were_wanted(connect, samples, folder, monkeypatch):
    """The same without a mount, which few systems allow."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_disk, "allocate", refuse)
    with pytest.raises(OSError, match=f"no room for {SAMPLE_SIZE} bytes") as caught:
        connect().fetch(samples, "with-digest")
    assert caught.value.filename == str(folder / samples / "with-digest")
    assert list(folder.iterdir()) == []


def test_file_system_that_counts_no_blocks_is_not_full(link, samples, open_folder):
    """As ramfs, or tmpfs without a limit: free space is reported as 0."""
    output, errors = run_child(link.url, samples, open_folder, before=on_small_disk(0, open_folder))
    assert (output, errors) == ("flowing\n", "")


@pytest.mark.skipif(os.name == "nt", reason="needs the permissions of POSIX")
def test_folder_without_write_permission_is_reported_before_any_request(link, samples, open_folder):
    (open_folder / samples).mkdir()
    (open_folder / samples).chmod(0o555)
    _, errors = run_child(link.url, samples, open_folder, "--unprivileged")
    assert "PermissionError: [Errno 13] no file can be made in this directory" in errors
    assert repr(str(open_folder / samples)) in errors
    assert link.bytes_sent == 0


def test_folder_that_vanishes_is_an_error(connect, samples, folder):
    with pytest.raises(FileNotFoundError):
        connect().fetch(
            samples, "with-digest", progress=lambda _: shutil.rmtree(folder / samples, ignore_errors=True)
        )
    assert not (folder / samples / "with-digest").exists()
