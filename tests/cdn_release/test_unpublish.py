"""Tests how releases are taken back, and that no content is removed that another release needs."""

import threading
import time

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from command import write_files
from local_store import READER, WRITER
from scripted_server import ScriptedServer, answering
from stored_releases import digest, keys_in, keys_of, put_release

from cdn_manager import CDNCredentials, CDNManager, CredentialMissingError, StoreProtocolError
from cdn_release import ManifestError, ReleaseBusyError, ReleaseError, collection, install, publish, releases, unpublish
from cdn_release.memory import Memory
from cdn_release.repository import Repository


@pytest.fixture
def keys(moto_admin, moto_bucket):
    """A function that returns all keys in the bucket of the in-process store."""
    return lambda: keys_in(moto_admin, moto_bucket)


@pytest.fixture
def published(moto_admin, moto_bucket):
    """A function that stores a release in the bucket of the in-process store."""
    return lambda *release, **options: put_release(moto_admin, moto_bucket, *release, **options)


@pytest.fixture
def before_removal(monkeypatch):
    """A function that has another one called with each key before the object is removed."""

    def intercept(call):
        remove = Repository.remove

        def watched(self, key):
            call(key)
            remove(self, key)

        monkeypatch.setattr(Repository, "remove", watched)

    return intercept


def test_content_that_no_other_release_needs_is_removed_and_what_they_share_stays(admin, bucket, manager):
    """With a key that may read and list, and one that may only write."""
    write_files("model", weights=b"weights", config=b"config 1", merges=b"merges")
    publish(manager, bucket, "model", "v1")
    write_files("model", config=b"config 2")
    publish(manager, bucket, "model", "v2")
    assert unpublish(manager, bucket, "v1", collect=True) == ("v1", True, 1, 8)
    assert [release.name for release in releases(manager, bucket)] == ["v2"]
    assert len(keys_in(admin, bucket)) == 4  # a manifest and three contents
    assert install(manager, bucket, "v2", "here").files == 3


@pytest.mark.portable
def test_content_stays_unless_it_is_to_be_removed_too(moto_manager, moto_bucket, published, keys):
    first, second = published("v1", b"1", b"both", signed=True), published("v2", b"2", b"both", signed=True)
    before = keys()
    assert unpublish(moto_manager, moto_bucket, "v1") == ("v1", True, 0, 0)
    assert before - keys() == {"releases/v1.json", f"releases/v1.{first.sha256}.sig"}
    assert unpublish(moto_manager, moto_bucket, "v1") == ("v1", False, 0, 0)
    assert unpublish(moto_manager, moto_bucket, "v1", collect=True) == ("v1", False, 1, 1)
    assert keys() == keys_of(second) | {f"releases/v2.{second.sha256}.sig"}


def test_signatures_of_a_release_whose_name_begins_alike_stay(moto_manager, moto_bucket, published, keys):
    published("v1", b"1", signed=True)
    longer = published("v1.5", b"1", signed=True)
    assert unpublish(moto_manager, moto_bucket, "v1", collect=True).found
    assert keys() == keys_of(longer) | {f"releases/v1.5.{longer.sha256}.sig"}


def test_only_what_has_the_name_of_a_content_is_removed(moto_admin, moto_manager, moto_bucket, published, keys):
    published("v1", b"1")
    elsewhere = published("v2", b"2", prefix="llama/")
    sha256 = digest(b"3")
    others = {"objects/README", f"objects/{sha256}.bak", f"objects/{sha256.upper()}", f"objects/{sha256[1:]}",
              f"objects/old/{sha256}", f"old/objects/{sha256}", f"objects{sha256}", "models/config.json"}  # fmt: skip
    for key in others:
        moto_admin.put_object(Bucket=moto_bucket, Key=key, Body=b"")
    assert unpublish(moto_manager, moto_bucket, "v1", collect=True).removed == 1
    assert keys() == others | keys_of(elsewhere, prefix="llama/")


def test_prefix_has_content_of_its_own(moto_manager, moto_bucket, published, keys):
    first = published("v1", b"both")
    published("v1", b"both", prefix="llama/")
    assert unpublish(moto_manager, moto_bucket, "v1", prefix="llama/", collect=True).removed == 1
    assert keys() == keys_of(first)


@pytest.mark.parametrize("name", ["v2", "no name"])
def test_nothing_is_removed_if_the_manifest_of_another_release_is_broken(
    moto_admin, moto_manager, moto_bucket, published, keys, name
):
    published("v1", b"1", signed=True)
    moto_admin.put_object(Bucket=moto_bucket, Key=f"releases/{name}.json", Body=b'{"files":[]')
    before = keys()
    with pytest.raises(ManifestError, match=f"releases/{name}.json"):
        unpublish(moto_manager, moto_bucket, "v1", collect=True)
    assert keys() == before


def test_broken_release_can_be_taken_back_itself(moto_admin, moto_manager, moto_bucket, published, keys):
    whole = published("v1", b"1")
    moto_admin.put_object(Bucket=moto_bucket, Key="releases/v2.json", Body=b"{")
    assert unpublish(moto_manager, moto_bucket, "v2", collect=True).found
    assert keys() == keys_of(whole)


def test_nothing_is_removed_if_the_list_of_releases_is_cut_off(moto_url, moto_bucket, published, keys):
    published("v1", b"1")
    published("v2", b"2")
    before = keys()

    def cut_off(exchange):
        status, headers, body = exchange.carry_out()
        assert b"<Prefix>releases/</Prefix>" in body
        begin, end = body.index(b"<Contents>"), body.index(b"</ListBucketResult>")
        cut = body[:begin].replace(b"<IsTruncated>false", b"<IsTruncated>true") + body[end:]
        exchange.answer(status, headers, cut)

    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        # After a first listing, our marker, those of publishes, and those of this name.
        server.fault("GET", None, None, None, None, cut_off)
        with pytest.raises(StoreProtocolError, match="listing is cut off"):
            unpublish(manager, moto_bucket, "v1", collect=True)
    assert keys() == before


def test_release_that_cannot_be_removed_keeps_its_content(moto_url, moto_bucket, published, keys):
    published("v1", b"1")
    before = keys()
    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        server.fault("AbortMultipartUpload", answering(403, "AccessDenied"))  # any DELETE
        with pytest.raises(ClientError, match="AccessDenied"):
            unpublish(manager, moto_bucket, "v1", collect=True)
    assert keys() == before


def test_object_that_cannot_be_removed_does_not_keep_the_others(moto_url, moto_bucket, published, keys):
    published("v1", *map(bytes, [[number] for number in range(40)]))
    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        server.fault("AbortMultipartUpload", None, *[answering(403, "AccessDenied")] * 2)
        with pytest.raises(ReleaseError, match=r"of 40 objects .*, 2 could not be removed.*AccessDenied"):
            unpublish(manager, moto_bucket, "v1", collect=True)
        assert len(keys()) == 2
        assert unpublish(manager, moto_bucket, "v1", collect=True) == ("v1", False, 2, 2)
    assert keys() == set()


def test_object_that_another_process_has_removed_is_no_failure(moto_url, moto_bucket, published, keys):
    """S3 answers 204; some stores answer 404."""
    published("v1", b"1", b"2")
    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        server.fault("AbortMultipartUpload", None, answering(404, "NoSuchKey"))
        unpublish(manager, moto_bucket, "v1", collect=True)


def test_nothing_is_removed_while_a_publish_may_be_running(moto_admin, moto_manager, moto_bucket, published, keys):
    published("v1", b"1", signed=True)
    moto_admin.put_object(Bucket=moto_bucket, Key="publishing/v2", Body=b"")
    before = keys()
    with pytest.raises(ReleaseBusyError, match=f"a publish of 'v2' .* {moto_bucket}/publishing/v2 "):
        unpublish(moto_manager, moto_bucket, "v1", collect=True)
    assert keys() == before


def test_publish_is_kept_from_beginning_as_long_as_objects_are_removed(
    moto_manager, moto_bucket, published, keys, before_removal
):
    published("v1", b"1", b"2", b"3")
    marked = []
    before_removal(lambda key: marked.append("collecting" in keys()))
    unpublish(moto_manager, moto_bucket, "v1", collect=True)
    assert marked == [True] * 5  # the manifest, three objects, the marker itself
    assert keys() == set()


def test_publish_that_did_not_look_stops_the_removal(
    moto_admin, moto_manager, moto_bucket, published, keys, before_removal, monkeypatch
):
    """One without a read key cannot look."""
    monkeypatch.setattr(collection, "_REMOVED_UNSEEN", 1)
    published("v1", b"1", b"2", b"3")

    def begin(key):
        if key.startswith("objects/"):
            moto_admin.put_object(Bucket=moto_bucket, Key="publishing/v2", Body=b"")

    before_removal(begin)
    with pytest.raises(ReleaseBusyError, match="a publish of 'v2'"):
        unpublish(moto_manager, moto_bucket, "v1", collect=True)
    assert len(keys()) == 3  # the marker of the publish, and the two objects that were not removed yet


def test_of_two_removals_the_later_one_goes_on(moto_manager, moto_bucket, published, keys, before_removal, monkeypatch):
    """The marker of the earlier one may be there because that was killed."""
    monkeypatch.setattr(collection, "_REMOVED_UNSEEN", 1)
    published("v1", b"1", b"2", b"3")
    removed = []

    def start_another(key):
        removed.append(key)
        if len(removed) == 2:  # the manifest was the first
            assert unpublish(moto_manager, moto_bucket, "v9", collect=True) == ("v9", False, 3, 3)
            removed.append("the other one has ended")

    before_removal(start_another)
    with pytest.raises(ReleaseBusyError, match="another process"):
        unpublish(moto_manager, moto_bucket, "v1", collect=True)
    assert removed[-1] == "the other one has ended"  # it removed one object that it had begun with, and no more
    assert keys() == set()


def test_marker_of_another_removal_stays(moto_admin, moto_manager, moto_bucket, published, keys, before_removal):
    published("v1", b"1")
    before_removal(lambda _: moto_admin.put_object(Bucket=moto_bucket, Key="collecting", Body=b"another"))
    unpublish(moto_manager, moto_bucket, "v1", collect=True)
    assert keys() == {"collecting"}


def test_marker_of_a_killed_removal_is_gone_after_the_next_one(moto_admin, moto_manager, moto_bucket, published, keys):
    needed = published("v2", b"2")
    moto_admin.put_object(Bucket=moto_bucket, Key="collecting", Body=b"")
    moto_admin.put_object(Bucket=moto_bucket, Key=f"objects/{digest(b'1')}", Body=b"1")
    assert unpublish(moto_manager, moto_bucket, "v1", collect=True) == ("v1", False, 1, 1)
    assert keys() == keys_of(needed)


def test_publish_begins_again_once_a_killed_removal_was_ended(moto_admin, moto_manager, moto_bucket):
    write_files("model", weights=b"weights")
    moto_admin.put_object(Bucket=moto_bucket, Key="collecting", Body=b"")
    with pytest.raises(ReleaseBusyError, match="unpublish --collect"):
        publish(moto_manager, moto_bucket, "model", "v1")
    unpublish(moto_manager, moto_bucket, "v0", collect=True)
    assert publish(moto_manager, moto_bucket, "model", "v1").sent == 1


def test_write_key_alone_publishes_again_what_it_has_taken_back(moto_url, moto_bucket, folder, keys):
    """It cannot ask the store, and a record would say that it is there."""
    write_files("model", weights=b"weights")
    with CDNManager(CDNCredentials(moto_url, None, None, *WRITER)) as manager:
        publish(manager, moto_bucket, "model", "v1")
        before = keys()
        unpublish(manager, moto_bucket, "v1")
        assert not publish(manager, moto_bucket, "model", "v1").skipped
    assert keys() == before


@pytest.mark.parametrize(
    "failure",
    [
        EndpointConnectionError(endpoint_url="http://store"),
        ClientError({"ResponseMetadata": {"HTTPStatusCode": 504}}, "DeleteObject"),
    ],
    ids=["no-answer", "answer-of-a-proxy"],
)
def test_marker_stays_if_the_store_may_still_remove_an_object(
    moto_manager, moto_bucket, published, keys, before_removal, failure
):
    """Its answer was lost: it may carry out the request any time, also when a publish has stored that object anew."""
    published("v1", b"1", b"2")
    lost = f"objects/{digest(b'1')}"

    def lose(key):
        if key == lost:
            raise failure

    before_removal(lose)
    with pytest.raises(ReleaseError, match=r"of 2 objects .*, 1 could not be removed"):
        unpublish(moto_manager, moto_bucket, "v1", collect=True)
    assert keys() == {lost, "collecting"}


def test_interrupt_ends_all_threads_and_removes_the_marker(moto_manager, moto_bucket, published, keys, before_removal):
    published("v1", *map(bytes, [[number] for number in range(100)]))
    is_told, may_end = threading.Event(), threading.Event()
    begun = []

    def wait(key):
        if key.startswith("objects/"):
            begun.append(key)
            is_told.set()
            assert may_end.wait(60)

    def progress(count):
        assert count == 0
        if is_told.is_set():
            may_end.set()
            raise KeyboardInterrupt

    before_removal(wait)
    with pytest.raises(KeyboardInterrupt):
        unpublish(moto_manager, moto_bucket, "v1", collect=True, progress=progress)
    assert not [thread for thread in threading.enumerate() if thread.name == "cdn-release"]
    assert keys() == {f"objects/{digest(bytes([number]))}" for number in range(100)} - set(begun)
    assert len(keys()) > 50


def test_nothing_is_removed_if_progress_ends_the_call_early(moto_manager, moto_bucket, published, keys):
    published("v1", b"1")
    before = keys()
    with pytest.raises(ZeroDivisionError):
        unpublish(moto_manager, moto_bucket, "v1", collect=True, progress=lambda count: 1 / count)
    assert keys() == before


@pytest.mark.parametrize("is_dead", [False, True], ids=["for-once", "for-good"])
def test_store_that_does_not_answer_when_manifests_are_read_does_not_delay_an_interrupt(
    moto_url, moto_bucket, published, keys, monkeypatch, is_dead
):
    monkeypatch.setattr(collection, "_PATIENCE", 0.5 if is_dead else 60.0)
    published("v1", b"1")
    published("v2", b"2")
    before = keys()
    has_begun = threading.Event()

    def say_nothing(exchange):
        assert exchange.request.target.endswith("releases/v2.json")
        has_begun.set()
        exchange.server.ended.wait(60)

    def progress(_):
        if has_begun.is_set():
            raise KeyboardInterrupt

    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        # See above; the fifth is the list of releases, and what follows the manifest is our marker.
        server.fault("GET", *[None] * 5, say_nothing, *[lambda exchange: exchange.server.ended.wait(60)] * is_dead)
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            unpublish(manager, moto_bucket, "v1", collect=True, progress=progress)
        assert time.monotonic() - begin < 20  # it takes 1; the store would be waited for much longer
    assert keys() - before == ({"collecting"} if is_dead else set())


def test_marker_that_cannot_be_removed_is_an_error_although_all_else_is_done(moto_url, moto_bucket, published, keys):
    published("v1", b"1")
    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        server.fault("AbortMultipartUpload", None, None, answering(403, "AccessDenied"))
        with pytest.raises(ReleaseError, match=f"no publish begins while {moto_bucket}/collecting is there: .*403"):
            unpublish(manager, moto_bucket, "v1", collect=True)
    assert keys() == {"collecting"}


def test_marker_that_cannot_be_removed_does_not_hide_why_nothing_else_was(
    moto_url, moto_admin, moto_bucket, log_lines
):
    moto_admin.put_object(Bucket=moto_bucket, Key="publishing/v2", Body=b"")
    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        server.fault("AbortMultipartUpload", answering(403, "AccessDenied"))
        with pytest.raises(ReleaseBusyError, match="'v2'"):
            unpublish(manager, moto_bucket, "v1", collect=True)
    assert any(f"no publish begins while {moto_bucket}/collecting is there" in line for line in log_lines())


@pytest.mark.parametrize("code", ["AccessDenied", "SignatureDoesNotMatch"])
def test_read_key_that_cannot_list_does_not_keep_publishes_from_beginning(
    moto_url, moto_bucket, published, keys, code
):
    published("v1", b"1")
    before = keys()
    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        server.fault("GET", *[answering(403, code)] * 5)
        with pytest.raises(ClientError, match=code):
            unpublish(manager, moto_bucket, "v1", collect=True)
    assert keys() == before


def test_read_key_that_may_not_list_does_not_keep_a_release(moto_url, moto_bucket, published, keys):
    published("v1", b"1")
    before = keys()
    with ScriptedServer(moto_url) as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        server.fault("GET", answering(403, "AccessDenied"))
        assert unpublish(manager, moto_bucket, "v1").found
    assert before - keys() == {"releases/v1.json"}


def test_what_is_remembered_of_a_release_is_forgotten_before_and_after_it_is_taken_back(
    moto_manager, moto_url, moto_bucket, published, before_removal
):
    """Before, as the process may die in between; after, as a publish may have ended in between."""
    published("v1", b"1")
    memory = Memory(moto_url, moto_bucket, "releases/v1.json")
    memory.finish("digest")
    found = []

    def publish_meanwhile(key):
        found.append(Memory(moto_url, moto_bucket, key).published)
        memory.finish("digest")

    before_removal(publish_meanwhile)
    unpublish(moto_manager, moto_bucket, "v1")
    assert [*found, Memory(moto_url, moto_bucket, "releases/v1.json").published] == [None, None]


def test_write_key_alone_takes_a_release_back_and_removes_no_content(moto_url, moto_bucket, published, keys):
    published("v1", b"1")
    before = keys()
    with CDNManager(CDNCredentials(moto_url, None, None, *WRITER)) as manager:
        with pytest.raises(CredentialMissingError, match="may read"):
            unpublish(manager, moto_bucket, "v1", collect=True)
        assert keys() == before
        assert unpublish(manager, moto_bucket, "v1").found
    assert before - keys() == {"releases/v1.json"}


@pytest.mark.parametrize("collect", [True, False])
def test_read_key_alone_takes_nothing_back(moto_url, moto_bucket, published, keys, collect):
    published("v1", b"1")
    before = keys()
    manager = CDNManager(CDNCredentials(moto_url, *READER))
    with manager, pytest.raises(CredentialMissingError, match="may write"):
        unpublish(manager, moto_bucket, "v1", collect=collect)
    assert keys() == before


@pytest.mark.parametrize("name", ["", "../v1", "a/b", "current"])
def test_name_that_no_release_can_have_is_refused(moto_manager, moto_bucket, name):
    with pytest.raises(ReleaseError, match="cannot be the name of a release"):
        unpublish(moto_manager, moto_bucket, name, collect=True)
