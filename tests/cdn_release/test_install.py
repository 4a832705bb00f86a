"""Installing: what a reader sees, what is fetched and what is not, and what is refused before anything is fetched."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from local_store import READER
from release_way import tree_of, write_tree
from scripted_server import answering
from tracebacks import secrets_shown

from cdn_manager import CDNCredentials, CDNManager, IntegrityError, StoreProtocolError
from cdn_release import (
    ManifestError,
    ReleaseDamagedError,
    ReleaseDoesNotFitError,
    ReleaseError,
    ReleaseExistsError,
    ReleaseMissingError,
    SignatureError,
    install,
    installation,
    place,
    prune,
    publish,
    rollback,
    staging,
)

FILES = {"config.json": b"{}", "weights.bin": b"w" * 100_000, "deep/er/tokenizer": b"t", "copy": b"{}", "empty": b""}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def objects(way):
    """Return the contents whose bytes were asked for since the last call, by digest."""
    return [key.removeprefix("objects/") for key in way.requests("GET") if key.startswith("objects/")]


# What a reader sees


def test_installed_release_is_what_was_published_and_current(way):
    published = way.publish("v1", FILES)
    done = way.install("v1")
    assert way.current() == FILES
    assert os.readlink(way.edge / "current") == "v1"
    assert done.path == way.edge / "v1"
    assert (done.sha256, done.files, done.size) == (published.sha256, 5, 100_005)
    assert (done.transferred, done.linked, done.skipped) == (100_003, 0, False)
    assert way.left_over() == []


def test_permissions_are_those_of_the_publisher(way):
    folder = way.model({"run.sh": b"x", "data": b"y", "secret": b"y"})
    (folder / "run.sh").chmod(0o755)
    (folder / "secret").chmod(0o600)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    publish(way.publisher, way.bucket, folder, "v1")
    way.install("v1")
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (way.edge / "v1").iterdir()} == modes


def test_permissions_are_left_alone_on_windows(way, monkeypatch):
    """A file that must not be written could not be removed, by prune for example."""
    folder = way.model({"data": b"y"})
    (folder / "data").chmod(0o444)
    publish(way.publisher, way.bucket, folder, "v1")
    monkeypatch.setattr(staging, "_WINDOWS", True)
    way.install("v1")
    assert (way.edge / "v1/data").stat().st_mode & 0o200


def test_update_fetches_what_changed_and_nothing_else(way):
    way.store("v1", FILES)
    way.install("v1")
    way.store("v2", FILES | {"config.json": b"{2}", "more": b"m"})
    way.requests()
    done = way.install("v2")
    assert sorted(objects(way)) == sorted([sha256(b"{2}"), sha256(b"m")])
    assert (done.transferred, done.linked) == (4, 100_003)
    assert (way.edge / "v2/weights.bin").samefile(way.edge / "v1/weights.bin")
    assert way.current() == FILES | {"config.json": b"{2}", "more": b"m"}
    assert tree_of(way.edge / "v1") == FILES


def test_changes_are_told_after_current_has_moved(way):
    way.store("v1", FILES)
    way.install("v1")
    way.store("v2", {"config.json": b"{2}", "weights.bin": FILES["weights.bin"], "new": b"n"})
    seen = []
    done = way.install("v2", on_change=lambda changes: seen.append((changes, os.readlink(way.edge / "current"))))
    assert seen == [(done.changes, "v2")]
    assert done.changes.old == way.edge / "v1"
    assert done.changes.new == way.edge / "v2"
    assert done.changes[2:] == (("new",), ("config.json",), ("copy", "deep/er/tokenizer", "empty"))
    way.install("v2", on_change=seen.append)
    assert len(seen) == 1


def test_changes_are_told_whatever_fails_after_current_has_moved(way, monkeypatch):
    """The next call would find nothing to change, and tell of nothing."""
    way.store("v1", FILES)

    def fail(path):
        raise OSError(errno.EIO if os.path.exists(path) else errno.ENOENT, "said the file system")

    monkeypatch.setattr("shutil.rmtree", fail)
    seen = []
    way.install("v1", on_change=seen.append)
    assert [changes.new for changes in seen] == [way.edge / "v1"]


def test_release_that_is_here_is_not_brought_again(way):
    way.store("v1", FILES)
    first = way.install("v1")
    way.requests()
    assert way.install("v1") == first._replace(transferred=0, skipped=True, changes=None)
    assert objects(way) == []


def test_release_that_is_here_and_not_current_becomes_current(way):
    for name in ("v1", "v2"):
        way.store(name, FILES | {"config.json": name.encode()})
        way.install(name)
    done = way.install("v1")
    assert done.skipped
    assert done.changes.changed == ("config.json",)
    assert os.readlink(way.edge / "current") == "v1"


# What goes wrong


@pytest.mark.parametrize("brought", [0, 1], ids=["nothing", "the-largest"])
def test_broken_install_shows_nothing_and_goes_on(way, brought):
    way.store("v1", FILES)
    way.install("v1")
    way.store("v2", FILES | {"a": b"a", "weights.bin": b"W" * 100_000})
    # The first request is for the manifest.
    way.server.fault("GET", None, *[None] * brought, answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        way.install("v2", jobs=1)
    assert way.current() == FILES
    assert not (way.edge / "v2").exists()
    assert way.left_over() == ["objects"] * brought
    done = way.install("v2")
    assert (done.transferred, done.resumed_from) == ((1, 100_000) if brought else (100_001, 0))
    assert way.current() == FILES | {"a": b"a", "weights.bin": b"W" * 100_000}
    assert way.left_over() == []


def test_content_that_did_not_reach_the_disk_is_fetched_again(way, monkeypatch):
    """The system tells of it once: asked again, it says that all is well."""
    way.store("v1", {"a": b"w" * 100_000, "b": b"x", "z": b"w" * 100_000})

    def fail(descriptors):
        return [OSError(errno.EIO, os.strerror(errno.EIO)), *[None] * (len(descriptors) - 1)]

    with monkeypatch.context() as patch:
        patch.setattr(staging, "_disk", SimpleNamespace(sync_all=fail))
        with pytest.raises(OSError, match=r"Input/output error: '.*/staging/a'"):
            way.install("v1")
    assert way.install("v1").transferred == 100_000
    assert way.current() == {"a": b"w" * 100_000, "b": b"x", "z": b"w" * 100_000}


def test_release_is_on_the_disk_before_current_leads_to_it_also_if_a_killed_install_has_put_it_there(way, monkeypatch):
    way.store("v1", {"a": b"a"})

    def die(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(installation, "sync_directory", die)
        with pytest.raises(KeyboardInterrupt):
            way.install("v1")
    assert (way.edge / "v1").exists()
    done = []
    real_sync, real_replace = place.sync_directory, os.replace
    monkeypatch.setattr(place, "sync_directory", lambda path: (done.append(str(path)), real_sync(path)))
    monkeypatch.setattr(os, "replace", lambda old, new: (done.append(f"-> {new}"), real_replace(old, new)))
    way.install("v1")
    moved = done.index(f"-> {way.edge}/current")
    assert str(way.edge) in done[:moved]
    assert str(way.edge) in done[moved:]


def test_what_an_interrupted_install_has_left_is_removed_by_one_of_what_is_here(way, monkeypatch):
    way.store("v1", FILES)
    way.install("v1")
    for name in ("objects", "staging"):
        (way.edge / ".cdn-release" / name).mkdir()
        (way.edge / ".cdn-release" / name / "rest").write_bytes(b"r")
    assert way.install("v1").skipped
    assert way.left_over() == []


def test_failure_to_clean_up_does_not_hide_why_the_install_has_failed(way, monkeypatch):
    way.store("v1", FILES)
    way.server.fault("GET", None, answering(403, "AccessDenied"))

    def fail(path):
        raise OSError(errno.EIO if os.path.exists(path) else errno.ENOENT, "said the file system")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", fail)
        with pytest.raises(ClientError, match="AccessDenied"):
            way.install("v1")
    way.install("v1")
    assert way.current() == FILES
    assert way.left_over() == []


@pytest.mark.parametrize("has_metadata", [True, False])
def test_content_that_is_not_what_its_digest_says_is_never_installed(way, has_metadata):
    way.store("v1", FILES)
    digest = sha256(FILES["weights.bin"])
    way.put(f"objects/{digest}", b"x" * 100_000, Metadata={"sha256": digest} if has_metadata else {})
    with pytest.raises(IntegrityError):
        way.install("v1", jobs=1)
    assert os.listdir(way.edge) == [".cdn-release"]
    assert way.left_over() == []


@pytest.mark.parametrize(
    ("lies", "problem"),
    [
        ({"size": 3}, "not at the store as the manifest says"),
        ({"sha256": sha256(b"another")}, "not at the store, or this key may not read it"),
    ],
    ids=["size", "digest"],
)
def test_manifest_that_the_store_contradicts_is_refused_before_anything_is_fetched(way, lies, problem):
    way.store("v1", {"a": b"aaaa"}, **lies)
    with pytest.raises(ManifestError, match=problem):
        way.install("v1")
    assert objects(way) == []
    assert os.listdir(way.edge) == [".cdn-release"]
    assert way.left_over() == []


def test_object_whose_metadata_contradicts_its_key_is_not_fetched(way):
    way.store("v1", {"a": b"aaaa"})
    way.put(f"objects/{sha256(b'aaaa')}", b"bbbb", Metadata={"sha256": sha256(b"bbbb")})
    with pytest.raises(ManifestError, match="as the manifest says"):
        way.install("v1")
    assert objects(way) == []


def test_object_of_which_more_comes_than_the_manifest_says_is_not_read_to_its_end(way):
    way.store("v1", {"a": b"a"})
    way.put(f"objects/{sha256(b'a')}", bytes(20_000_000))
    way.server.fault("HEAD", answering(200, headers=[("Content-Length", 1)], body=b""))
    with pytest.raises(StoreProtocolError, match="sends more than the object should have"):
        way.install("v1")
    assert os.listdir(way.edge) == [".cdn-release"]


@pytest.mark.parametrize("call", ["publish", "install"])
def test_no_jobs_are_an_error_before_anything_is_asked_for(way, call):
    with pytest.raises(ValueError, match="jobs must be at least 1"):
        way.publish("v1", FILES, jobs=0) if call == "publish" else way.install("v1", jobs=0)
    assert way.requests() == []


def test_pinned_release_is_that_one(way):
    done = way.publish("v1", FILES)
    assert way.install("v1", sha256=done.sha256.upper()).sha256 == done.sha256
    with pytest.raises(ManifestError, match=f"is {done.sha256}, and not {sha256(b'x')}"):
        way.install("v1", sha256=sha256(b"x"))
    with pytest.raises(ValueError, match="64 hexadecimal"):
        way.install("v1", sha256="abc")


def test_release_that_is_not_there_is_named(way):
    with pytest.raises(ReleaseMissingError, match="no release 'v1'"):
        way.install("v1")
    assert not way.edge.exists()


def test_refusal_says_that_the_release_may_be_missing(way):
    way.server.fault("GET", answering(403, "AccessDenied"))
    with pytest.raises(ReleaseMissingError, match="or this key may not read it: the store answered 403"):
        way.install("v1")


def test_key_that_the_store_rejects_is_not_taken_for_a_missing_release(way):
    way.server.fault("GET", answering(403, "InvalidAccessKeyId"))
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        way.install("v1")


def test_what_appears_in_the_place_of_the_release_meanwhile_is_not_taken_for_it(way):
    way.store("v1", FILES)

    def appear(exchange):
        write_tree(way.edge / "v1", {"mine": b"mine"})
        exchange.answer_as_usual()

    way.server.fault("GET", None, appear)
    with pytest.raises(OSError, match="not empty"):
        way.install("v1")
    with pytest.raises(ReleaseExistsError, match="was not installed by cdn-manager"):
        way.install("v1")
    way.store("v2", FILES)
    way.install("v2")
    assert prune(way.edge, 1) == []
    assert tree_of(way.edge / "v1") == {"mine": b"mine"}


@pytest.mark.parametrize("into", ["v1", "current"])
def test_release_is_not_installed_in_another(way, into):
    way.store("v1", FILES)
    way.install("v1")
    with pytest.raises(ReleaseError, match=r"/edge/(v1|current)' is a release: give the directory that it is in"):
        install(way.reader, way.bucket, "v1", way.edge / into)
    assert way.current() == FILES


def test_what_refresh_raises_ends_an_install(way):
    def refresh():
        raise InterruptedError("no fresh keys")

    way.server.fault("GET", answering(403, "ExpiredToken"))
    with (
        CDNManager(CDNCredentials(way.server.url, *READER, None, None), refresh=refresh) as reader,
        pytest.raises(InterruptedError),
    ):
        install(reader, way.bucket, "v1", way.edge)


def test_missing_bucket_is_said_to_be_missing(way):
    with pytest.raises(ClientError, match="NoSuchBucket"):
        install(way.reader, "no-such-bucket", "v1", way.edge)


def test_manifest_that_is_too_large_is_not_read(way):
    way.put("releases/v1.json", bytes((16 << 20) + 1))
    with pytest.raises(ManifestError, match="'v1' has more than 16777216 bytes"):
        way.install("v1")
    assert not way.edge.exists()


@pytest.mark.parametrize("spoiled", ["file", "directory", "other", "foreign"])
def test_what_is_in_the_place_of_the_release_is_not_touched(way, spoiled):
    way.store("v1", FILES)
    way.edge.mkdir()
    if spoiled == "file":
        (way.edge / "v1").write_bytes(b"mine")
    elif spoiled == "directory":
        (way.edge / "v1").mkdir()
    elif spoiled == "foreign":
        (way.edge / "v1").symlink_to("/nowhere")
    else:
        way.install("v1")
        way.remove("releases/v1.json")
        way.store("v1", {"a": b"another"})
    way.requests()
    with pytest.raises(ReleaseExistsError, match="v1' is another release, or was not installed by cdn-manager"):
        way.install("v1")
    assert objects(way) == []


def test_release_that_is_here_and_damaged_is_named(way):
    way.store("v1", FILES)
    way.install("v1")
    (way.edge / "v1/copy").unlink()
    with pytest.raises(ReleaseDamagedError, match=r"'copy' \(missing\); roll back if"):
        way.install("v1")
    (way.edge / "v1").rename(way.edge / "old")
    way.requests()
    assert not way.install("v1").skipped
    assert way.current() == FILES


@pytest.mark.parametrize("kind", ["directory", "link", "file"])
def test_current_that_is_not_ours_is_not_touched(way, kind):
    way.store("v1", FILES)
    way.edge.mkdir()
    current = way.edge / "current"
    {"directory": current.mkdir, "link": lambda: current.symlink_to("/srv/old"),
     "file": lambda: current.write_text("../x\n")}[kind]()  # fmt: skip
    with pytest.raises(ReleaseError, match="does not lead to a release"):
        way.install("v1")
    assert objects(way) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as two users")
@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=oct)
def test_links_that_another_user_has_put_there_are_not_followed(way, tmp_path, mode):
    """In a directory where all may write. If it has the sticky bit, as /tmp has, what is theirs is refused."""
    way.store("v1", FILES)
    (tmp_path / "precious").write_bytes(b"p")
    (way.edge / ".cdn-release").mkdir(parents=True)
    (way.edge / ".cdn-release/objects").symlink_to(tmp_path)
    os.chown(way.edge / ".cdn-release", 12345, -1)
    way.edge.chmod(mode)
    if mode == 0o777:
        way.install("v1")
    else:
        for call in (lambda: way.install("v1"), lambda: prune(way.edge, 1), lambda: rollback(way.edge)):
            with pytest.raises(ReleaseError, match="another user's"):
                call()
    assert (tmp_path / "precious").exists()


def test_link_is_not_replaced_by_a_file_if_links_are_suddenly_refused(way, monkeypatch):
    """What is below ``current`` would be gone for all who look there."""
    for name in ("v1", "v2"):
        way.store(name, {"a": name.encode()})
    way.install("v1")

    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(PermissionError):
        way.install("v2")
    assert way.current() == {"a": b"v1"}


def test_damaged_file_of_another_release_is_not_taken_over(way):
    way.store("v1", FILES)
    way.install("v1")
    (way.edge / "v1/weights.bin").write_bytes(b"x" * 100_000)
    way.store("v2", FILES | {"a": b"a"})
    assert way.install("v2").transferred == 100_001
    assert way.current() == FILES | {"a": b"a"}


def test_link_in_place_of_a_file_is_not_followed(way, tmp_path):
    way.store("v1", FILES)
    way.install("v1")
    outside = tmp_path / "outside"
    outside.write_bytes(FILES["weights.bin"])
    (way.edge / "v1/weights.bin").unlink()
    (way.edge / "v1/weights.bin").symlink_to(outside)
    way.store("v2", FILES | {"a": b"a"})
    assert way.install("v2").transferred == 100_001
    assert not (way.edge / "v2/weights.bin").is_symlink()


def test_equal_file_with_other_permissions_is_copied(way):
    way.store("v1", {"a": b"same"})
    way.install("v1")
    folder = way.model({"a": b"same"})
    (folder / "a").chmod(0o755)
    publish(way.publisher, way.bucket, folder, "v2")
    done = way.install("v2")
    assert (done.transferred, done.linked) == (0, 4)
    assert [stat.S_IMODE((way.edge / name / "a").stat().st_mode) for name in ("v1", "v2")] == [0o644, 0o755]


def test_file_system_without_links_gets_copies_and_a_file_in_place_of_the_link(way, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "symlink", refuse)
    for name in ("v1", "v2"):
        way.store(name, FILES | {"config.json": name.encode()})
        done = way.install(name)
    assert (done.transferred, done.linked) == (2, 100_003)
    assert not (way.edge / "v2/weights.bin").samefile(way.edge / "v1/weights.bin")
    assert (way.edge / "current").read_text() == "v2\n"
    assert tree_of(way.edge / "v2") == FILES | {"config.json": b"v2"}


def test_release_that_the_disk_has_no_room_for_is_refused_before_anything_is_fetched(way, monkeypatch):
    way.store("v1", FILES)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100_000})())
    way.requests()
    with pytest.raises(ReleaseDoesNotFitError, match="has 100000 bytes of free space, and 100003 are needed"):
        way.install("v1")
    assert objects(way) == []
    assert way.left_over() == []


def test_names_that_are_one_here_are_refused_before_anything_is_fetched(way, monkeypatch):
    way.store("v1", {"dir/README": b"1", "dir/readme": b"2"})
    plain = os.open

    def folding(path, flags, *arguments, **options):
        path = os.path.join(os.path.dirname(path), os.path.basename(path).lower()) if "staging" in str(path) else path
        return plain(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", folding)
    way.requests()
    with pytest.raises(ReleaseDoesNotFitError, match="'dir/README' and 'dir/readme' are one name"):
        way.install("v1")
    assert objects(way) == []


def test_manifest_that_is_not_the_right_one_is_not_even_read(way):
    """What reads it may have faults, which only those should be able to use who may publish."""
    way.put("releases/v1.json", b"no manifest")
    with pytest.raises(SignatureError):
        way.install("v1", public_key="MCowBQYDK2VwAyEA" + "A" * 43 + "=")
    with pytest.raises(ManifestError, match="and not aaaa"):
        way.install("v1", sha256="a" * 64)


def test_release_without_the_required_signature_is_not_fetched(way):
    way.store("v1", FILES)
    way.requests()
    key = "MCowBQYDK2VwAyEA" + "A" * 43 + "="
    with pytest.raises(SignatureError):
        way.install("v1", public_key=key)
    assert objects(way) == []
    assert not way.edge.exists()


def test_private_key_in_place_of_the_public_one_is_refused_and_not_shown(way):
    key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    with pytest.raises(SignatureError, match="is a private key") as caught:
        way.install("v1", public_key=key)
    assert not secrets_shown(caught.value, "c2VjcmV0")
    assert way.requests() == []


def test_interrupt_ends_the_install_and_keeps_what_has_arrived(way):
    way.store("v1", FILES)

    class Interrupting:
        received = 0

        def __call__(self, count):
            self.received += count
            if self.received >= 100_000:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        way.install("v1", jobs=1, progress=Interrupting())
    assert not (way.edge / "v1").exists()
    way.requests()
    assert way.install("v1").transferred < 100_000


def test_progress_tells_what_was_here(way):
    class Progress:
        def __init__(self):
            self.name, self.counts, self.size = "", {}, None

        def phase(self, name, read, size):
            self.name, self.size = name, size

        def __call__(self, count):
            self.counts[self.name] = self.counts.get(self.name, 0) + count

    way.store("v1", FILES)
    way.install("v1")
    way.store("v2", FILES | {"a": b"aaa"})
    progress = Progress()
    way.install("v2", progress=progress)
    assert progress.counts["comparing"] == 100_003
    assert progress.counts["receiving"] == 3
    assert progress.size == 100_006


def test_relative_directory_stays_where_it_was(way, monkeypatch):
    way.store("v1", {"a": b"a"})
    Path("there").mkdir()
    done = install(way.reader, way.bucket, "v1", "there")
    assert done.path == Path.cwd() / "there/v1"
