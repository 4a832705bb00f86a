"""Tests the findings about a bucket: each is ok on a good store and fails for a real cause."""

import re
import uuid
from types import SimpleNamespace

import pytest
from findings import findings_of, states
from local_store import ADMIN, READER, WRITER

from cdn_cli.checks import check
from cdn_manager import CDNCredentials

RIGHTS = ["uploader writes", "uploader cannot read", "downloader reads", "downloader cannot write"]
ABILITIES = ["metadata", "ranges", "If-Match", "If-None-Match"]

# What the store supports


@pytest.mark.portable
def test_capable_store_is_ok_behind_a_proxy_that_alters_nothing(altered_store, moto_bucket):
    found = findings_of(altered_store(), moto_bucket)
    assert {name: found[name].state for name in ABILITIES} == dict.fromkeys(ABILITIES, "ok")


@pytest.mark.portable
@pytest.mark.parametrize(
    ("name", "alteration"),
    [
        ("metadata", {"without": {"x-amz-meta-sha256"}}),
        ("metadata", {"answers_without": {"x-amz-meta-sha256"}}),
        ("ranges", {"without": {"range"}}),
        ("If-Match", {"without": {"if-match"}}),
        ("If-None-Match", {"without": {"if-none-match"}}),
        ("If-None-Match", {"without": {"if-none-match"}, "only_for": "POST"}),  # CompleteMultipartUpload, as Ceph 16
    ],
    ids=["metadata not stored", "metadata not returned", "ranges", "If-Match", "If-None-Match", "only in parts"],
)
def test_header_dropped_by_a_proxy_fails_its_finding_and_no_other(altered_store, moto_bucket, name, alteration):
    found = findings_of(altered_store(**alteration), moto_bucket)
    expected = dict.fromkeys(ABILITIES, "ok") | {name: "failed"}
    assert {ability: found[ability].state for ability in ABILITIES} == expected
    assert found[name].advice


# The object that KEY names, and the disk


@pytest.mark.portable
def test_object_larger_than_the_free_disk_space_fails(altered_store, moto_bucket, stored):
    stored(huge=b"x")
    credentials = altered_store(answers_without={"content-length"}, answers_with={"Content-Length": str(1 << 60)})
    # With an uploader key, the check would measure the small object that it stores itself.
    reader = CDNCredentials(credentials.host, *READER)
    finding = findings_of(reader, moto_bucket, "huge")["disk"]
    assert finding.state == "failed"


@pytest.mark.portable
def test_key_is_read_and_measured_besides_the_object_the_check_writes(altered_store, moto_bucket, stored, monkeypatch):
    stored(model=b"x" * 5000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=9000, free=4000))
    found = findings_of(altered_store(), moto_bucket, "model")
    assert found["downloader reads KEY"].text == "'model' is 5.0 kB"
    assert found["disk"].state == "failed"
    assert re.fullmatch("4.0 kB free in '.*' for an object of 5.0 kB", found["disk"].text)
    assert {name: found[name].state for name in ABILITIES} == dict.fromkeys(ABILITIES, "ok")


@pytest.mark.portable
def test_missing_key_fails_besides_the_object_the_check_writes(altered_store, moto_bucket):
    found = findings_of(altered_store(), moto_bucket, "nonsense")
    assert found["downloader reads"].state == "ok"
    assert found["downloader reads KEY"].state == "failed"
    assert "'nonsense'" in found["downloader reads KEY"].text
    assert found["downloader reads KEY"].advice == "correct KEY"


# What the check leaves behind


@pytest.mark.portable
def test_object_that_cannot_be_removed_is_named(altered_store, moto_bucket, stored):
    finding = findings_of(altered_store(refused={"DELETE"}), moto_bucket)["removed"]
    assert finding.state == "skipped"
    assert set(finding.text.partition(": ")[2].split(", ")) == set(stored()) != set()


@pytest.mark.portable
def test_object_of_the_downloader_is_removed_when_the_answer_to_its_put_is_lost(altered_store, moto_bucket, stored):
    found = findings_of(altered_store(unanswered="-2$"), moto_bucket)
    assert found["downloader cannot write"].state == "skipped"
    assert stored() == []


@pytest.mark.portable
def test_abandoned_check_logs_what_it_could_not_remove(altered_store, moto_bucket, log_lines):
    findings = check(altered_store(refused={"DELETE"}), moto_bucket)
    while next(findings).name != "uploader writes":
        pass
    findings.close()
    assert re.search(f"left in '{moto_bucket}': cdn-check-", log_lines()[-1])


@pytest.mark.portable
def test_abandoned_check_removes_what_it_wrote(altered_store, moto_bucket, stored):
    findings = check(altered_store(), moto_bucket)
    while next(findings).name != "uploader writes":
        pass
    assert stored() != []
    findings.close()
    assert stored() == []


# Rights of the keys, on a store that enforces them


@pytest.fixture
def is_empty(admin, bucket):
    """Asserts that the check has left nothing in the bucket."""
    yield
    assert admin.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.usefixtures("is_empty")
def test_good_keys_on_a_good_store_are_all_ok(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, *WRITER), bucket)
    assert set(states(found).values()) == {"ok"}
    assert set(RIGHTS + ABILITIES) < set(found)


@pytest.mark.usefixtures("is_empty")
def test_wrong_downloader_secret_fails(store, bucket):
    found = findings_of(CDNCredentials(store.url, READER[0], "wrong", *WRITER), bucket)
    assert found["downloader reads"].state == "failed"
    assert "SignatureDoesNotMatch" in found["downloader reads"].text
    assert found["downloader cannot write"].state == "skipped"  # refused, but not because a permission is missing
    assert found["uploader writes"].state == "ok"


def test_wrong_downloader_secret_fails_without_an_object_to_read(store, bucket):
    finding = findings_of(CDNCredentials(store.url, READER[0], "wrong"), bucket)["bucket"]
    assert finding.state == "failed"
    assert "SignatureDoesNotMatch" in finding.text


def test_wrong_uploader_secret_fails(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, WRITER[0], "wrong"), bucket)
    assert found["uploader writes"].state == "failed"
    assert "SignatureDoesNotMatch" in found["uploader writes"].text


def test_unknown_access_key_fails(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, "nobody", "nobody-secret"), bucket)
    assert found["uploader writes"].state == "failed"
    assert "InvalidAccessKeyId" in found["uploader writes"].text


@pytest.mark.usefixtures("is_empty")
def test_downloader_key_that_can_write_fails(store, bucket):
    found = findings_of(CDNCredentials(store.url, *ADMIN, *WRITER), bucket)
    assert found["downloader cannot write"].state == "failed"
    assert {name for name, state in states(found).items() if state != "ok"} == {"downloader cannot write"}


@pytest.mark.usefixtures("is_empty")
def test_uploader_key_that_can_read_fails(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, *ADMIN), bucket)
    assert {name: state for name, state in states(found).items() if state != "ok"} == {"uploader cannot read": "failed"}
    assert "--uploader-may-read" in found["uploader cannot read"].advice


@pytest.mark.usefixtures("is_empty")
def test_uploader_key_that_may_read_is_a_warning(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, *ADMIN), bucket, uploader_may_read=True)
    assert {name: state for name, state in states(found).items() if state != "ok"} == {
        "uploader cannot read": "warning"
    }


@pytest.mark.usefixtures("is_empty")
def test_downloader_key_that_can_write_fails_whatever_the_uploader_may(store, bucket):
    found = findings_of(CDNCredentials(store.url, *ADMIN, *WRITER), bucket, uploader_may_read=True)
    assert found["downloader cannot write"].state == "failed"


@pytest.mark.usefixtures("is_empty")
def test_exchanged_key_pairs_are_one_finding(store, bucket):
    found = findings_of(CDNCredentials(store.url, *WRITER, *READER), bucket)
    assert [name for name, state in states(found).items() if state == "failed"] == ["key pairs"]
    assert "the two key pairs are exchanged" in found["key pairs"].text


@pytest.mark.usefixtures("is_empty")
def test_exchanged_key_pairs_are_recognized_when_the_publishers_may_read(store, bucket):
    found = findings_of(CDNCredentials(store.url, *ADMIN, *READER), bucket)
    assert [name for name, state in states(found).items() if state == "failed"] == ["key pairs"]


def test_missing_bucket_fails_and_ends_the_check(store):
    found = findings_of(CDNCredentials(store.url, *READER, *WRITER), f"no-{uuid.uuid4().hex[:12]}")
    assert found["bucket"].state == "failed"
    assert not set(RIGHTS) & set(found)


# A machine with one key pair


def test_edge_machine_skips_what_needs_an_object_to_read(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER), bucket)
    assert {name: found[name].state for name in RIGHTS} == {
        "uploader writes": "skipped",
        "uploader cannot read": "skipped",
        "downloader reads": "skipped",
        "downloader cannot write": "ok",
    }


def test_edge_machine_tests_the_store_with_the_named_object(store, bucket, manager):
    manager.store(bucket, "model.bin", b"weights")
    found = findings_of(CDNCredentials(store.url, *READER), bucket, "model.bin")
    names = ["downloader reads", "metadata", "ranges", "If-Match"]
    assert {name: found[name].state for name in names} == dict.fromkeys(names, "ok")


def test_missing_object_fails(store, bucket):
    finding = findings_of(CDNCredentials(store.url, *READER), bucket, "nothing")["downloader reads"]
    assert finding.state == "failed"
    assert "NoSuchKey" in finding.text


def test_publisher_without_a_downloader_key_tests_the_store_with_what_it_writes(store, bucket):
    found = findings_of(CDNCredentials(store.url, None, None, *WRITER), bucket)
    assert {name: found[name].state for name in RIGHTS} == {
        "uploader writes": "ok",
        "uploader cannot read": "ok",
        "downloader reads": "skipped",
        "downloader cannot write": "skipped",
    }
    assert found["If-None-Match"].state == "ok"
