"""Publishing: what is stored, in which order, what is not sent again, and what is refused."""

import hashlib
import logging
import os

import pytest
from botocore.exceptions import ClientError
from local_store import READER, WRITER
from scripted_server import answering, resetting

from cdn_manager import CDNCredentials, CDNManager, CredentialMissingError, ObjectChangedError
from cdn_release import Manifest, ReleaseBusyError, ReleaseError, ReleaseExistsError, install, publish

FILES = {"config.json": b"{}", "weights.bin": b"w" * 100_000, "deep/er/tokenizer": b"t", "copy": b"{}", "empty": b""}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_release_is_a_manifest_and_contents_by_digest(way):
    done = way.publish("v1", FILES)
    assert set(way.stored()) == {f"objects/{sha256(content)}" for content in FILES.values()} | {"releases/v1.json"}
    manifest = way.body("releases/v1.json")
    assert sha256(manifest) == done.sha256 == Manifest.parse(manifest, "v1").sha256
    assert [(file.path, file.size, file.sha256) for file in Manifest.parse(manifest, "v1").files] == [
        (path, len(FILES[path]), sha256(FILES[path])) for path in sorted(FILES)
    ]
    assert (done.name, done.files, done.sent, done.skipped) == ("v1", 5, 4, False)
    assert done.size == 100_005
    assert done.transferred == 100_003  # two files are equal


def test_manifest_is_stored_last_and_the_largest_content_first(way):
    way.publish("v1", FILES, jobs=1)
    assert way.requests("PUT") == [
        "publishing/v1", *(f"objects/{sha256(FILES[path])}" for path in ("weights.bin", "copy", "deep/er/tokenizer",
        "empty")), "releases/v1.json",
    ]  # fmt: skip


def test_prefix_precedes_all_keys(way):
    way.publish("v1", {"a": b"a"}, prefix="models/llama")
    assert way.stored() == [f"models/llama/objects/{sha256(b'a')}", "models/llama/releases/v1.json"]


def test_same_release_again_sends_nothing(way):
    first = way.publish("v1", FILES)
    way.requests()
    again = way.publish("v1", FILES)
    assert again == first._replace(sent=0, transferred=0, skipped=True)
    assert {method for method, _ in way.requests()} == {"HEAD", "GET"}


def test_content_of_another_release_is_not_sent_again(way):
    way.publish("v1", FILES)
    way.requests()
    done = way.publish("v2", FILES | {"config.json": b"{2}"})
    assert way.requests("PUT") == ["publishing/v2", f"objects/{sha256(b'{2}')}", "releases/v2.json"]
    assert (done.sent, done.transferred) == (1, 3)


def test_release_that_exists_is_never_changed(way):
    way.publish("v1", FILES)
    before = way.body("releases/v1.json")
    way.requests()
    with pytest.raises(ReleaseExistsError, match="another release is at the store as 'v1'"):
        way.publish("v1", {"config.json": b"new"})
    assert way.requests("PUT") == []
    assert way.body("releases/v1.json") == before


def test_release_that_is_removed_while_it_is_published_again_is_visible_in_the_end(way):
    way.publish("v1", FILES)
    way.remove(f"objects/{sha256(b't')}")

    def unpublish(exchange):
        for key in way.stored():
            way.remove(key)
        exchange.answer_as_usual()

    way.server.fault("PutObject", unpublish)  # of the marker
    assert way.publish("v1", FILES).sent == 4
    assert "releases/v1.json" in way.stored()


def test_release_that_appears_meanwhile_is_not_changed(way):
    other = way.publish("other", FILES)
    stolen = way.body("releases/other.json")
    way.server.fault("PutObject", None, None, lambda exchange: (
        way.put("releases/v1.json", stolen), exchange.answer_as_usual()))  # fmt: skip
    with pytest.raises(ReleaseExistsError):
        way.publish("v1", {"config.json": b"new"})
    assert way.body("releases/v1.json") == stolen
    assert other.sha256 == sha256(stolen)
    assert "publishing/v1" not in way.stored()


def test_answer_to_the_manifest_that_is_lost_is_asked_for(way):
    def store_and_reset(exchange):
        exchange.carry_out()
        exchange.reset()

    way.server.fault("PutObject", None, None, store_and_reset)
    assert not way.publish("v1", {"a": b"a"}).skipped
    assert way.stored() == [f"objects/{sha256(b'a')}", "releases/v1.json"]


def test_object_that_was_removed_is_sent_when_the_release_is_published_again(way):
    way.publish("v1", FILES)
    way.remove(f"objects/{sha256(b't')}")
    assert way.publish("v1", FILES).sent == 1
    assert way.publish("v1", FILES).skipped
    assert f"objects/{sha256(b't')}" in way.stored()


@pytest.mark.parametrize("body", [b"x", b"other than what it is called"], ids=["size", "metadata"])
def test_object_that_is_not_what_its_key_says_is_replaced(way, body):
    way.put(f"objects/{sha256(b't')}", body, Metadata={"sha256": sha256(body)})
    way.publish("v1", {"a": b"t"})
    assert way.body(f"objects/{sha256(b't')}") == b"t"


def test_broken_publish_shows_nothing_and_goes_on(way):
    way.server.fault("PutObject", None, None, answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        way.publish("v1", FILES, jobs=1)
    assert "releases/v1.json" not in way.stored()
    assert "publishing/v1" in way.stored()
    assert way.publish("v1", FILES).sent == 3
    assert "publishing/v1" not in way.stored()


def test_publisher_without_a_read_key_goes_on_and_does_not_send_the_same_again(way, log_lines):
    way.server.fault("PutObject", None, None, answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        way.publish("v1", FILES, way.writer, jobs=1)
    assert way.publish("v1", FILES, way.writer).sent == 3
    way.requests()
    assert way.publish("v1", FILES, way.writer).skipped
    assert way.requests() == [("DELETE", "publishing/v1")]  # of which it cannot know whether it is there
    assert any("'v1' is published as far as this machine remembers" in line for line in log_lines())


def test_publisher_without_a_read_key_does_not_rely_on_what_may_have_been_removed(way):
    way.publish("v1", FILES, way.writer)
    way.publish("v2", FILES, way.writer)
    assert way.publish("v3", FILES, way.writer).sent == 4
    with pytest.raises(ReleaseExistsError, match="perhaps this one"):
        way.publish("v1", {"a": b"b"}, way.writer)
    assert "publishing/v1" not in way.stored()


def test_read_key_that_the_store_rejects_does_not_count_as_none(way):
    way.server.fault("GET", answering(403, "SignatureDoesNotMatch"))
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        way.publish("v1", FILES)
    assert way.stored() == []


def test_release_that_the_read_key_may_not_read_is_not_changed(way):
    way.publish("v1", FILES)
    way.server.fault("GET", *[answering(403, "AccessDenied")] * 2)
    with pytest.raises(ReleaseExistsError, match="perhaps this one"):
        way.publish("v1", {"a": b"b"})
    assert "publishing/v1" not in way.stored()


def test_publisher_without_a_read_key_sends_again_what_its_marker_has_not_kept(way):
    """Somebody has removed the marker, and then the objects, of a publish that did not end."""
    way.server.fault("PutObject", None, None, answering(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        way.publish("v1", FILES, way.writer, jobs=1)
    for key in way.stored():
        way.remove(key)
    assert way.publish("v1", FILES, way.writer).sent == 4
    way.install("v1")
    assert way.current() == FILES


def test_marker_that_a_killed_publish_left_is_removed_by_the_next(way):
    way.publish("v1", FILES)
    way.put("publishing/v1", b"")
    assert way.publish("v1", FILES).skipped
    assert "publishing/v1" not in way.stored()


def test_marker_of_another_publish_is_not_removed(way):
    way.put("collecting", b"")
    way.put("publishing/v1", b"")
    with pytest.raises(ReleaseBusyError):
        way.publish("v1", FILES)
    assert way.stored() == ["collecting", "publishing/v1"]


def test_content_that_was_removed_once_another_publish_of_the_name_had_ended_is_sent_again(way):
    def end_and_unpublish(exchange):
        exchange.answer_as_usual()
        way.remove("publishing/v1")
        way.remove(f"objects/{sha256(b'aa')}")

    way.server.fault("PutObject", None, None, end_and_unpublish)  # the marker, then the larger content
    assert way.publish("v1", {"a": b"aa", "b": b"b"}, jobs=1).sent == 3
    assert set(way.stored()) == {f"objects/{sha256(one)}" for one in (b"aa", b"b")} | {"releases/v1.json"}


def test_publish_does_not_begin_while_objects_are_removed(way):
    way.put("collecting", b"")
    with pytest.raises(ReleaseBusyError, match="unpublish --collect"):
        way.publish("v1", FILES)
    assert way.stored() == ["collecting"]


def test_answer_that_says_nothing_about_a_removal_does_not_say_that_there_is_none(way):
    """AWS answers 400 to a HEAD with expired keys."""
    way.server.fault("HEAD", None, answering(400))
    with pytest.raises(ClientError, match="400"):
        way.publish("v1", FILES)
    assert way.stored() == ["publishing/v1"]


def test_marker_that_may_not_be_removed_is_only_logged(way, caplog):
    caplog.set_level(logging.INFO, "cdn_manager")
    way.server.fault("AbortMultipartUpload", answering(403, "AccessDenied"))  # what a DELETE is called there
    assert not way.publish("v1", {"a": b"a"}).skipped
    assert "publishing/v1 could not be removed" in caplog.text


def test_file_that_changes_after_it_was_hashed_is_not_stored(way):
    folder = way.model({"a": b"a" * 100, "b": b"b" * 50})

    def change(exchange):
        (folder / "b").write_bytes(b"c" * 50)
        exchange.answer_as_usual()

    way.server.fault("PutObject", None, change)
    with pytest.raises(ObjectChangedError, match="/model/b' changed"):
        publish(way.publisher, way.bucket, folder, "v1", jobs=1)
    assert f"objects/{sha256(b'b' * 50)}" not in way.stored()
    assert "releases/v1.json" not in way.stored()


def test_permissions_are_kept_and_links_to_files_followed(way):
    folder = way.model({"run.sh": b"x", "data": b"y"})
    (folder / "run.sh").chmod(0o750)
    (folder / "link").symlink_to("data")
    publish(way.publisher, way.bucket, folder, "v1")
    modes = {file.path: file.mode for file in Manifest.parse(way.body("releases/v1.json"), "v1").files}
    assert modes["run.sh"] == 0o750
    assert modes["link"] == modes["data"]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda folder: (folder / "link").symlink_to(".", True), "'link': it is a link to a directory"),
        (lambda folder: (folder / "gone").symlink_to("nowhere"), "'gone': No such file"),
        (lambda folder: os.mkfifo(folder / "pipe"), "'pipe': it is neither a file nor a directory"),
        (lambda folder: (folder / ".cdn-0.part").touch(), "'.cdn-0.part': .*reserved for unfinished downloads"),
        (lambda folder: (folder / "a:b").touch(), "'a:b': it contains ':'"),
        (lambda folder: (folder / "file").unlink(), "it contains no file"),
    ],
    ids=["directory-link", "dangling", "pipe", "unfinished", "unsafe", "empty"],
)
def test_directory_that_cannot_be_published_is_refused(way, spoil, problem):
    folder = way.model({"file": b"x"})
    spoil(folder)
    with pytest.raises(ReleaseError, match=f"cannot be published: {problem}"):
        publish(way.publisher, way.bucket, folder, "v1")
    assert way.requests() == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "current", "Current", ".hidden", "a b", "nul", "é", "x" * 201])
def test_name_that_cannot_be_a_directory_everywhere_is_refused(way, name):
    with pytest.raises(ReleaseError, match="cannot be the name of a release"):
        way.publish(name, FILES)
    assert way.requests() == []


def test_twins_are_mentioned(way, caplog):
    caplog.set_level(logging.INFO, "cdn_manager")
    way.publish("v1", {"README": b"1", "readme": b"2"})
    assert "'README' and 'readme' are one name on some file systems" in caplog.text


def test_publisher_needs_a_write_key(way):
    with pytest.raises(CredentialMissingError, match="may write"):
        way.publish("v1", FILES, way.reader)


def test_progress_counts_every_byte_once_and_ends_the_call(way):
    class Progress:
        def __init__(self):
            self.counts, self.phases = 0, []

        def phase(self, name, read, size):
            if self.phases[-1:] != [name]:
                self.phases.append(name)

        def __call__(self, count):
            self.counts += count

    progress = Progress()
    way.publish("v1", FILES, progress=progress)
    assert progress.counts == 100_003
    assert progress.phases == ["hashing", "comparing", "sending", "finishing"]

    def interrupt(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        way.publish("v2", FILES, progress=interrupt)


def test_publisher_and_edge_need_no_more_rights_than_they_are_meant_to_have(store, bucket, folder, admin):
    (folder / "model").mkdir()
    (folder / "model/weights").write_bytes(b"w" * 9_000_000)
    with (
        CDNManager(CDNCredentials(store.url, None, None, *WRITER)) as writer,
        CDNManager(CDNCredentials(store.url, *READER)) as reader,
    ):
        assert not publish(writer, bucket, folder / "model", "v1").skipped
        assert install(reader, bucket, "v1", folder / "edge").transferred == 9_000_000
        with pytest.raises(CredentialMissingError):
            publish(reader, bucket, folder / "model", "v2")
        with pytest.raises(CredentialMissingError):
            install(writer, bucket, "v1", folder / "edge")


@pytest.mark.parametrize("operation", ["PutObject", "GET", "HEAD"])
def test_connection_that_breaks_once_is_no_failure(way, operation):
    way.server.fault(operation, resetting() if operation == "PutObject" else lambda exchange: exchange.reset())
    assert way.publish("v1", FILES).sent == 4
