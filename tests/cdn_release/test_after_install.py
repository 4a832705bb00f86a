"""What can be done with releases that are installed: verify, roll back, prune, all without the store."""

import errno
import os
import threading
from types import SimpleNamespace

import pytest

from cdn_release import (
    ManifestError,
    ReleaseDamagedError,
    ReleaseError,
    ReleaseMissingError,
    current,
    place,
    prune,
    rollback,
    verify,
)

FILES = {"config.json": b"{}", "weights.bin": b"w" * 100_000, "deep/er/tokenizer": b"t", "empty": b""}


@pytest.fixture
def installed(way):
    """A function that installs releases, which differ in one file."""

    def bring(*names):
        for name in names:
            way.store(name, FILES | {"config.json": name.encode()})
            way.install(name)
        way.server.requests.clear()
        return way

    return bring


def problems(found):
    return {problem.path: problem.what for problem in found.problems}


# verify


def test_whole_release_has_no_problems(installed):
    way = installed("v1")
    found = verify(way.edge / "v1")
    assert found.whole
    assert (found.name, found.files, found.size) == ("v1", 4, 100_003)
    assert verify(way.edge / "current", sha256=found.sha256) == found
    assert way.requests() == []


def test_everything_that_is_wrong_is_named(installed):
    way = installed("v1")
    folder = way.edge / "v1"
    (folder / "config.json").write_bytes(b"v9")
    (folder / "weights.bin").write_bytes(b"w" * 99_999)
    (folder / "deep/er/tokenizer").unlink()
    (folder / "deep/er/tokenizer").symlink_to("/etc/hostname")
    (folder / "empty").chmod(0o755)
    (folder / "more").touch()
    (folder / "deep/link").symlink_to("er", True)
    assert problems(verify(folder)) == {
        "config.json": "differs", "weights.bin": "differs", "deep/er/tokenizer": "differs", "empty": "mode",
        "more": "extra", "deep/link": "extra",
    }  # fmt: skip


def test_missing_directory_is_missing_files(installed):
    way = installed("v1")
    (way.edge / "v1/deep/er/tokenizer").unlink()
    (way.edge / "v1/deep/er").rmdir()
    (way.edge / "v1/deep/er").touch()
    assert problems(verify(way.edge / "v1")) == {"deep/er/tokenizer": "missing", "deep/er": "extra"}


def test_pinned_release_is_that_one(installed):
    way = installed("v1", "v2")
    with pytest.raises(ManifestError, match="and not"):
        verify(way.edge / "v1", sha256=verify(way.edge / "v2").sha256)


def test_manifest_that_was_changed_is_no_manifest(installed):
    way = installed("v1")
    path = way.edge / ".cdn-release/manifests/v1.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ManifestError):
        verify(way.edge / "v1")


@pytest.mark.parametrize("path", ["v9", ".", "current", ".cdn-release", "nowhere/v1"])
def test_what_is_no_release_is_not_verified(installed, path):
    way = installed("v1")
    (way.edge / "current").unlink()
    with pytest.raises(ReleaseMissingError):
        verify(way.edge / path)


# current and rollback


def test_current_is_a_directory_that_stays(installed, folder):
    assert current(folder / "edge") is None
    way = installed("v1")
    path = current(way.edge)
    assert path == way.edge / "v1"
    installed("v2")
    assert (path / "config.json").read_bytes() == b"v1"
    assert current(way.edge) == way.edge / "v2"


def test_rollback_goes_back_step_by_step(installed):
    way = installed("v1", "v2", "v3")
    seen = []
    changes = rollback(way.edge, on_change=seen.append)
    assert seen == [changes]
    assert changes == (way.edge / "v3", way.edge / "v2", (), ("config.json",), ())
    assert os.readlink(way.edge / "current") == "v2"
    rollback(way.edge)
    assert os.readlink(way.edge / "current") == "v1"
    with pytest.raises(ReleaseMissingError, match="no release from before the current one: it has v1, v2, v3"):
        rollback(way.edge)


def test_release_that_was_left_is_not_gone_back_to(installed):
    way = installed("v1", "v2", "v3")
    rollback(way.edge)
    installed("v4")
    rollback(way.edge)
    assert os.readlink(way.edge / "current") == "v2"


def test_rollback_goes_to_any_release_that_is_here(installed):
    way = installed("v1", "v2", "v3")
    rollback(way.edge, "v1")
    rollback(way.edge, "v3")
    rollback(way.edge)
    assert os.readlink(way.edge / "current") == "v2"
    assert rollback(way.edge, "v2") is None
    with pytest.raises(ReleaseMissingError, match="edge': it has v1, v2, v3"):
        rollback(way.edge, "v9")
    with pytest.raises(ReleaseError, match="cannot be the name"):
        rollback(way.edge, "../v1")


def test_release_installed_again_is_the_newest(installed):
    way = installed("v1", "v2")
    way.install("v1")
    rollback(way.edge)
    assert os.readlink(way.edge / "current") == "v2"


def test_release_without_a_manifest_is_not_made_current(installed):
    way = installed("v1", "v2")
    (way.edge / ".cdn-release/manifests/v1.json").unlink()
    with pytest.raises(ReleaseDamagedError, match="has lost its manifest"):
        rollback(way.edge)


def test_rollback_does_not_wait_for_an_install(installed):
    way = installed("v1", "v2")
    way.store("v3", FILES | {"config.json": b"v3"})
    rolled_back = []

    def roll_back(exchange):
        rollback(way.edge)
        rolled_back.append(os.readlink(way.edge / "current"))
        exchange.answer_as_usual()

    way.server.fault("GET", None, roll_back)  # the first request is for the manifest
    way.install("v3")
    assert rolled_back == ["v1"]
    rollback(way.edge)
    assert os.readlink(way.edge / "current") == "v1"


@pytest.mark.parametrize("call", [rollback, lambda path: prune(path, 1), lambda path: verify(path / "v1")])
def test_directory_without_releases_is_named(folder, call):
    (folder / "empty").mkdir()
    for path in (folder / "empty", folder / "missing"):
        with pytest.raises(ReleaseMissingError, match="no release was ever installed"):
            call(path)
    assert list(folder.rglob("*")) == [folder / "empty"]


# prune


def test_prune_keeps_the_current_release_and_those_before_it(installed):
    way = installed("v1", "v2", "v3", "v4")
    rollback(way.edge)
    assert prune(way.edge, 2) == ["v1", "v4"]
    assert sorted(os.listdir(way.edge)) == [".cdn-release", "current", "v2", "v3"]
    assert os.listdir(way.edge / ".cdn-release/manifests") != []
    assert verify(way.edge / "v2").whole
    assert prune(way.edge, 2) == []
    assert prune(way.edge, 1) == ["v2"]
    assert way.left_over() == []
    assert sorted(os.listdir(way.edge / ".cdn-release/manifests")) == ["v3.json"]


def test_release_that_was_moved_and_linked_is_forgotten_and_stays_where_it_is(installed, folder):
    way = installed("v1", "v2")
    (way.edge / "v1").rename(folder / "moved")
    (way.edge / "v1").symlink_to(folder / "moved")
    assert prune(way.edge, 1) == ["v1"]
    assert sorted(os.listdir(way.edge)) == [".cdn-release", "current", "v2"]
    assert way.left_over() == []
    assert (folder / "moved/config.json").read_bytes() == b"v1"


def test_nothing_that_is_not_a_release_is_removed(installed):
    way = installed("v1", "v2")
    (way.edge / "mine").mkdir()
    (way.edge / "v0").write_bytes(b"mine")
    assert prune(way.edge, 1) == ["v1"]
    assert sorted(os.listdir(way.edge)) == [".cdn-release", "current", "mine", "v0", "v2"]


def test_prune_that_was_interrupted_is_finished(installed):
    way = installed("v1", "v2", "v3")
    (way.edge / "v1").rename(way.edge / ".cdn-release/removed")
    assert prune(way.edge, 2) == []
    assert way.left_over() == []
    assert sorted(os.listdir(way.edge / ".cdn-release/manifests")) == ["v2.json", "v3.json"]


def test_release_that_was_moved_and_linked_is_pruned_and_stays_where_it_was_moved(installed, tmp_path):
    """To another disk, perhaps."""
    way = installed("v1", "v2")
    (way.edge / "v1").rename(tmp_path / "moved")
    (way.edge / "v1").symlink_to(tmp_path / "moved")
    assert prune(way.edge, 1) == ["v1"]
    assert way.left_over() == []
    assert (tmp_path / "moved").is_dir()


def test_release_that_cannot_be_renamed_is_pruned(installed, monkeypatch):
    """In a container, one of the image cannot: overlayfs says EXDEV of a directory that is in a lower layer."""
    way = installed("v1", "v2")

    def refuse(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "rename", refuse)
    assert prune(way.edge, 1) == ["v1"]
    assert sorted(os.listdir(way.edge)) == [".cdn-release", "current", "v2"]
    assert os.listdir(way.edge / ".cdn-release/manifests") == ["v2.json"]


def test_interrupted_writes_leave_no_more_and_more(installed, monkeypatch):
    way = installed("v1")

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for name in ("v2", "v3"):
        way.publish(name, {"a": name.encode()})
        with monkeypatch.context() as patch:
            patch.setattr(place, "_disk", SimpleNamespace(sync=fail))
            with pytest.raises(OSError, match="Input/output error"):
                way.install(name)
    assert sorted(os.listdir(way.edge / ".cdn-release/manifests")) == ["new", "v1.json"]


def test_at_least_the_current_release_is_kept(installed):
    with pytest.raises(ValueError, match="at least 1"):
        prune(installed("v1").edge, 0)


def test_prune_waits_for_an_install(installed):
    way = installed("v1", "v2")
    way.store("v3", FILES | {"config.json": b"v3"})
    removed, threads = [], []

    def prune_meanwhile(exchange):
        threads.append(threading.Thread(target=lambda: removed.extend(prune(way.edge, 1))))
        threads[0].start()
        exchange.answer_as_usual()

    way.server.fault("GET", None, prune_meanwhile)
    way.install("v3")
    threads[0].join()
    assert removed == ["v1", "v2"]
    assert os.readlink(way.edge / "current") == "v3"
