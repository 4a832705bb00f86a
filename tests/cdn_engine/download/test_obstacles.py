"""What keeps a file from being installed is found before a byte is asked for, and nothing is left behind."""

import concurrent.futures
import errno
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from downloads import start_child
from objects import put

from cdn_engine import _disk
from cdn_engine.download.directory import Directory
from cdn_engine.paths import local_path
from cdn_manager import UnsafePathError

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs the files of POSIX")


@pytest.fixture
def refused(link, connect, samples, folder):
    """A function that downloads and returns the error, which must come before any request."""

    def fetch(error, key="with-digest", path=None):
        before = sorted(folder.rglob("*"))
        with pytest.raises(error) as caught:
            connect().fetch(samples, key, path=path)
        assert link.requests == []
        assert sorted(folder.rglob("*")) == before
        return caught.value

    return fetch


def test_directory_under_the_final_name(refused, samples, folder):
    (folder / samples / "with-digest").mkdir(parents=True)
    error = refused(IsADirectoryError)
    assert error.filename == str(folder / samples / "with-digest")


@pytest.mark.parametrize("path", ["out/", "out/.", "new/out/"])
def test_path_that_ends_with_a_separator(refused, path):
    assert refused(IsADirectoryError, path=path).filename == path


def test_file_where_a_key_needs_a_directory(refused, samples, folder):
    """Keys ``a`` and ``a/b``: the file that is in the way is named."""
    (folder / samples).mkdir()
    (folder / samples / "a").write_bytes(b"another object")
    assert refused(NotADirectoryError, "a/b").filename == str(folder / samples / "a")
    assert refused(NotADirectoryError, "a/b/c/d").filename == str(folder / samples / "a")


def test_file_where_the_folder_should_be(refused, samples, folder):
    (folder / samples).write_bytes(b"")
    assert refused(NotADirectoryError).filename == str(folder / samples)
    assert refused(NotADirectoryError, path=f"{samples}/x/y/z").filename == str(folder / samples)


def test_name_that_is_too_long_for_the_file_system(refused, folder):
    """``path=`` is not checked by the rules for keys."""
    error = refused(OSError, path=folder / "new" / ("x" * 300))
    assert (error.errno, error.filename) == (errno.ENAMETOOLONG, str(folder / "new" / ("x" * 300)))
    assert refused(OSError, path=folder / ("x" * 300) / "y").filename == str(folder / ("x" * 300))


@posix_only
@pytest.mark.parametrize("what", ["pipe", "socket"])
def test_what_is_no_file_is_not_replaced(refused, folder, what):
    if what == "pipe":
        os.mkfifo("target")
    else:
        socket.socket(socket.AF_UNIX).bind("target")
    assert refused(FileExistsError, path="target").filename == str(folder / "target")


@pytest.mark.parametrize("attribute", [_disk.MOUNT_POINT, _disk.IMMUTABLE, _disk.APPEND_ONLY])
def test_file_that_the_system_does_not_let_replace(refused, folder, monkeypatch, attribute):
    """Without the rights that mounting and chattr need."""
    Path("target").write_bytes(b"")
    monkeypatch.setattr(Directory, "attributes", lambda _, name: attribute if name else 0)
    error = refused(OSError, path="target")
    assert error.errno in (errno.EBUSY, errno.EPERM)
    assert error.filename == str(folder / "target")


@posix_only
def test_name_with_a_character_that_the_file_system_refuses(refused, folder, monkeypatch):
    """As vfat, which reports it when the name is made and not when it is looked up."""
    open_file = Directory.open_file

    def refuse(directory, name, flags):
        if "?" in name and flags & os.O_CREAT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
        return open_file(directory, name, flags)

    monkeypatch.setattr(Directory, "open_file", refuse)
    assert refused(OSError, "what?").filename.endswith("what?")


@posix_only
def test_unusual_characters_are_kept_where_the_file_system_takes_them(connect, admin, samples, folder):
    key = 'a "quoted" <name>? 日本語*' + "ä" * 100
    put(admin, samples, key, b"payload")
    connect().fetch(samples, key)
    assert os.listdir(folder / samples) == [key]


def test_directory_that_the_system_does_not_let_change(refused, folder, monkeypatch):
    monkeypatch.setattr(Directory, "attributes", lambda _, name: 0 if name else _disk.APPEND_ONLY)
    assert refused(PermissionError, path="target").filename == str(folder)


@posix_only
def test_mounted_file_is_found_before_the_first_byte(link, samples, tmp_path):
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    script = 'mkdir -p "$0" && touch "$0/with-digest" host && mount --bind host "$0/with-digest" && exec "$@"'
    prefix = [*unshare, "sh", "-c", script, samples]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True, cwd=tmp_path).returncode:
        pytest.skip("this system does not let this user mount a file")
    child = start_child(link.url, samples, "with-digest", tmp_path, before=prefix, stderr=subprocess.PIPE)
    assert "mount its directory" in child.communicate()[1]
    assert link.requests == []


@posix_only
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user_where_anyone_may_write(link, samples, open_folder):
    (open_folder / samples).mkdir()
    (open_folder / samples).chmod(0o1777)
    (open_folder / samples / "with-digest").write_bytes(b"")
    child = start_child(link.url, samples, "with-digest", open_folder, "--unprivileged", stderr=subprocess.PIPE)
    assert "PermissionError: [Errno 1] this file is another user's" in child.communicate()[1]
    assert link.requests == []


@pytest.mark.parametrize("key", ["missing", "deep/er/missing"])
def test_missing_object_leaves_no_directory(connect, samples, folder, key):
    with pytest.raises(ClientError):
        connect().fetch(samples, key)
    assert list(folder.iterdir()) == []


def test_missing_objects_side_by_side_leave_no_directory(connect, samples, folder):
    """Each of them uses directories that another one has made."""
    manager = connect()

    def fetch(number):
        with pytest.raises(ClientError):
            manager.fetch(samples, f"deep/er/missing-{number % 3}")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, range(24)))
    assert list(folder.iterdir()) == []


def test_missing_object_leaves_directories_that_were_there(connect, samples, folder):
    (folder / samples / "deep").mkdir(parents=True)
    with pytest.raises(ClientError):
        connect().fetch(samples, "deep/er/missing")
    assert list(folder.rglob("*")) == [folder / samples, folder / samples / "deep"]


def test_new_directories_are_synced(connect, samples, folder, monkeypatch):
    """A power cut must not take away the directory that holds the file."""
    synced, sync = set(), _disk.sync

    def note_sync(descriptor):
        sync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(_disk, "sync", note_sync)
    connect().fetch(samples, "with-digest", path="one/two/file")
    assert {os.stat(path).st_ino for path in (folder, "one", "one/two")} <= synced


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755], ids="{:o}".format)
def test_replaced_file_keeps_its_permissions(connect, samples, mode):
    Path("target").write_bytes(b"old")
    os.chmod("target", mode)
    if os.geteuid() == 0:
        os.chown("target", 12, 34)
    before = os.stat("target")
    connect().fetch(samples, "with-digest", path="target")
    after = os.stat("target")
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_size != before.st_size


@posix_only
def test_replaced_program_does_not_keep_the_right_to_run_as_its_owner(connect, samples):
    Path("target").write_bytes(b"old")
    os.chmod("target", 0o4755)
    connect().fetch(samples, "with-digest", path="target")
    assert stat.S_IMODE(os.stat("target").st_mode) == 0o755


@posix_only
def test_link_under_the_final_name_is_replaced(connect, samples):
    Path("old").write_bytes(b"old")
    os.chmod("old", 0o600)
    os.symlink("old", "target")
    connect().fetch(samples, "with-digest", path="target")
    assert Path("old").read_bytes() == b"old"
    assert not os.path.islink("target")
    assert stat.S_IMODE(os.stat("target").st_mode) != 0o600


@posix_only
@pytest.mark.parametrize("moment", ["before the download", "during the download"])
def test_link_planted_after_the_check_leads_nowhere(connect, samples, folder, tmp_path, moment):
    """Another user of a shared folder exchanges a directory for a link to somewhere else."""
    outside, inside = tmp_path / "outside", folder / samples / "sub"
    outside.mkdir()
    inside.mkdir(parents=True)

    def plant(_=0):
        if not inside.is_symlink():
            inside.rename(folder / "moved")
            inside.symlink_to(outside)

    target = local_path(samples, "sub/with-digest")
    if moment == "before the download":
        plant()
        with pytest.raises(UnsafePathError, match="link"):
            connect().fetch(samples, "with-digest", path=target)
    else:
        connect().fetch(samples, "with-digest", path=target, progress=plant)
        assert (folder / "moved" / "with-digest").exists()
    assert list(outside.iterdir()) == []


@posix_only
def test_link_within_the_folder_is_followed(connect, samples, folder):
    (folder / samples / "real").mkdir(parents=True)
    (folder / samples / "link").symlink_to("real")
    connect().fetch(samples, "with-digest", path=local_path(samples, "link/file"))
    assert (folder / samples / "real" / "file").exists()
