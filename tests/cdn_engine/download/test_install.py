"""How the finished file gets its final name."""

import os
import threading

import pytest
from downloads import interrupt
from objects import PART, SAMPLE_SIZE, is_whole, payload_of, put

from cdn_engine import _disk
from cdn_engine.download import transfer
from cdn_engine.download.checkpoint import Checkpoint


@pytest.mark.skipif(os.name == "nt", reason="directories cannot be synced")
def test_nothing_is_renamed_before_it_is_synced(link, connect, admin, bucket, folder, monkeypatch):
    put(admin, bucket, "object", payload_of(24 * PART))
    manager = connect(config=None, parts=None)
    events, sync, replace = [], _disk.sync, os.replace

    def note_sync(descriptor):
        sync(descriptor)
        events.append(("synced", os.fstat(descriptor).st_ino))

    def note_replace(source, target, *, src_dir_fd, dst_dir_fd):
        events.append(("renamed", os.stat(source, dir_fd=src_dir_fd).st_ino))
        replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(_disk, "sync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    interrupt(manager, bucket, "object", 1)
    journal, part = (next((folder / bucket).glob(f"*.{kind}")).stat().st_ino for kind in ("journal", "part"))
    assert events[-3:] == [("synced", part), ("synced", journal), ("renamed", journal)]
    link.rate = None
    manager.fetch(bucket, "object")
    assert events[-3:] == [("synced", part), ("renamed", part), ("synced", (folder / bucket).stat().st_ino)]


@pytest.mark.skipif(os.name == "nt", reason="needs the permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002], ids=["umask 022", "umask 077", "umask 002"])
def test_file_has_the_permissions_that_open_gives(admin, bucket, manager, folder, umask):
    put(admin, bucket, "object", b"payload")
    before = os.umask(umask)
    try:
        manager.fetch(bucket, "object")
    finally:
        os.umask(before)
    assert (folder / bucket / "object").stat().st_mode & 0o777 == 0o666 & ~umask


def test_failed_installation_is_repeated_by_the_next_call(connect, samples, folder, monkeypatch):
    manager = connect()
    replace = os.replace

    def replace_except_final(source, target, **directories):
        if ".cdn-" not in str(target):
            raise PermissionError(13, "the file is open in another program", target)
        replace(source, target, **directories)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace_except_final)
        with pytest.raises(PermissionError) as caught:
            manager.fetch(samples, "with-digest")
    assert caught.value.filename == str(folder / samples / "with-digest")
    assert manager.fetch(samples, "with-digest").transferred == 1
    assert is_whole(folder / samples / "with-digest")


def test_partial_that_was_replaced_during_the_download_is_not_installed(connect, samples, folder):
    """Half of the object would be in the old file and half in the new one."""

    def progress(_):
        for part in (folder / samples).glob(".cdn-*.part"):
            part.unlink()
            part.write_bytes(bytes(SAMPLE_SIZE))

    with pytest.raises(FileNotFoundError):
        connect().fetch(samples, "without-digest", progress=progress)
    assert not (folder / samples / "without-digest").exists()


def test_journal_may_be_due_while_disk_space_is_being_reserved(connect, samples, folder, monkeypatch):
    """Reserving takes seconds on some file systems, and the size is not planned for before it is done."""
    due = threading.Event()
    allocate, save = _disk.allocate, Checkpoint.save

    def note_save(checkpoint):
        save(checkpoint)
        due.set()

    def allocate_late(descriptor, size):
        due.clear()
        assert due.wait(60)
        return allocate(descriptor, size)

    monkeypatch.setattr(transfer, "_JOURNAL_INTERVAL", 0.0)
    monkeypatch.setattr(Checkpoint, "save", note_save)
    monkeypatch.setattr(_disk, "allocate", allocate_late)
    connect().fetch(samples, "with-digest")
    assert is_whole(folder / samples / "with-digest")


def test_ctrl_c_right_after_the_rename_leaves_only_the_finished_file(connect, samples, folder, monkeypatch):
    replace = os.replace

    def interrupted_replace(source, target, **directories):
        replace(source, target, **directories)
        if ".cdn-" not in str(target):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted_replace)
    with pytest.raises(KeyboardInterrupt):
        connect().fetch(samples, "with-digest")
    assert is_whole(folder / samples / "with-digest")
    assert os.listdir(folder / samples) == ["with-digest"]
