"""Uploads with ``overwrite="changed"``, which send nothing that is there already."""

import os
import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from local_store import READER
from payloads import sha256
from scripted_server import answering, resetting, stalling

from cdn_engine.records import Records
from cdn_manager import DeadlineExceededError, ObjectExistsError

pytestmark = pytest.mark.portable

PAIRS = pytest.mark.parametrize("reader", [READER, ("", "")], ids=["both-pairs", "write-key-alone"])


@pytest.fixture
def content(moto_admin, moto_bucket):
    """A function that returns what is stored as ``key``."""
    return lambda: moto_admin.get_object(Bucket=moto_bucket, Key="key")["Body"].read()


@pytest.fixture
def store_at(publisher_at, moto_bucket):
    """A function that stores what has changed as ``key``, and returns whether it was sent."""

    def store(url, payload, reader=("", "")):
        result = publisher_at(url, reader).store(moto_bucket, "key", payload, overwrite="changed")
        assert (result.size, result.sha256, result.verified) == (len(payload), sha256(payload), False)
        assert result.transferred == (0 if result.skipped else len(payload))
        return not result.skipped

    return store


@pytest.fixture
def record(moto_url, moto_bucket):
    """The record of what was stored as ``key``."""
    return Records("stored").of([moto_url, moto_bucket, "key"])


# The same, or not


@PAIRS
@pytest.mark.parametrize("other", [b"other weights", b"WEIGHTS", b""], ids=["longer", "of-the-same-size", "empty"])
def test_other_content_replaces_the_object(moto_url, store_at, content, reader, other):
    assert store_at(moto_url, b"weights", reader)
    assert store_at(moto_url, other, reader)
    assert content() == other
    assert store_at(moto_url, b"weights", reader)
    assert content() == b"weights"
    assert not store_at(moto_url, b"weights", reader)


@pytest.mark.parametrize("overwrite", ["change", "", None, 2, ["changed"]], ids=repr)
def test_another_value_of_overwrite_is_an_error(server, publisher, overwrite):
    with pytest.raises(ValueError, match="overwrite must be True, False or 'changed'"):
        publisher.store("bucket", "key", b"weights", overwrite=overwrite)
    assert server.requests == []


# With a read key


@pytest.mark.parametrize(
    ("metadata", "body", "sent"),
    [
        ({}, b"weights", True), ({"sha256": sha256(b"other")}, b"weights", True),
        ({"sha256": sha256(b"weights")}, b"longer than that", True),
        ({"sha256": sha256(b"weights").upper()}, b"weights", False),
    ],
    ids=["no-digest", "another-digest", "another-size", "upper-case"],
)  # fmt: skip
def test_object_of_another_tool_is_judged_by_digest_and_size(
    moto_url, moto_admin, moto_bucket, store_at, content, metadata, body, sent
):
    moto_admin.put_object(Bucket=moto_bucket, Key="key", Body=body, Metadata=metadata)
    assert store_at(moto_url, b"weights", READER) == sent
    assert content() == b"weights"


def test_read_key_sees_that_the_object_is_gone(moto_url, moto_admin, moto_bucket, store_at):
    assert store_at(moto_url, b"weights", READER)
    moto_admin.delete_object(Bucket=moto_bucket, Key="key")
    assert store_at(moto_url, b"weights", READER)


@pytest.mark.parametrize("status", [304, 400, 403, 404, 405, 412])
def test_whatever_the_read_key_may_not_see_is_sent(server, store_at, status):
    for _ in range(2):
        server.fault("HEAD", answering(status, body=b""))
        assert store_at(server.url, b"weights", READER)
    assert server.operations == ["HEAD", "PutObject"] * 2


def test_lost_answer_is_asked_for_again(server, store_at):
    server.fault("HEAD", resetting(), answering(503, body=b""), answering(404, body=b""))
    assert store_at(server.url, b"weights", READER)
    assert server.operations == ["HEAD"] * 3 + ["PutObject"]


@pytest.mark.parametrize(
    ("action", "error"), [(resetting(), ConnectionClosedError), (answering(503, body=b""), ClientError)],
    ids=["reset", "503"],
)  # fmt: skip
def test_store_that_cannot_be_asked_gets_nothing(server, store_at, monkeypatch, action, error):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 2)
    server.fault("HEAD", action, action)
    with pytest.raises(error):
        store_at(server.url, b"weights", READER)
    assert server.operations == ["HEAD"] * 2


def test_missing_object_is_no_failure_that_the_deadline_could_name(server, publisher_at):
    server.fault("HEAD", answering(404, body=b""))
    server.fault("PutObject", stalling())
    publisher = publisher_at(server.url, READER, deadline=1.0)
    with pytest.raises(DeadlineExceededError) as late:
        publisher.store("bucket", "key", b"weights", overwrite="changed")
    assert str(late.value) == "bucket/key: the upload did not finish in time"


# With the write key alone


def test_what_others_do_to_the_object_goes_unnoticed(moto_url, moto_admin, moto_bucket, store_at):
    assert store_at(moto_url, b"weights")
    moto_admin.delete_object(Bucket=moto_bucket, Key="key")
    assert not store_at(moto_url, b"weights")


def refused(publisher, bucket):
    with pytest.raises(ObjectExistsError):
        publisher.store(bucket, "key", b"other", overwrite=False)


@pytest.mark.parametrize(
    "upload",
    [
        lambda publisher, bucket: publisher.store(bucket, "key", b"other"),
        lambda publisher, bucket: publisher.upload_bytes(bucket, "key", b"other"),
        lambda publisher, bucket: publisher.upload_client.upload_fileobj(b"other", bucket, "key"),
        refused,
    ],
    ids=["store", "upload", "upload_fileobj", "refused"],
)
def test_any_other_upload_makes_it_unknown_what_is_stored(moto_url, publisher_at, moto_bucket, store_at, upload):
    assert store_at(moto_url, b"weights")
    upload(publisher_at(moto_url), moto_bucket)
    assert store_at(moto_url, b"weights")


def test_upload_with_a_read_key_makes_it_unknown_too(moto_url, store_at):
    assert store_at(moto_url, b"weights")
    assert store_at(moto_url, b"other", READER)
    assert store_at(moto_url, b"weights")


def test_upload_that_failed_makes_it_unknown_too(server, store_at):
    assert store_at(server.url, b"weights")
    server.fault("PutObject", answering(403))
    with pytest.raises(ClientError):
        store_at(server.url, b"other")
    assert store_at(server.url, b"weights")


@pytest.mark.parametrize("overwrite", [True, "changed"])
@pytest.mark.parametrize("payload", [b"first", b"second"])
def test_two_uploads_at_the_same_time_leave_it_unknown_which_came_last(server, publisher_at, payload, overwrite):
    def meanwhile(exchange):
        publisher_at(server.url).store("bucket", "key", b"second", overwrite=overwrite)
        exchange.answer_as_usual()

    server.fault("PutObject", meanwhile)
    publisher_at(server.url).store("bucket", "key", b"first", overwrite="changed")
    assert not publisher_at(server.url).store("bucket", "key", payload, overwrite="changed").skipped


def test_upload_that_ends_last_makes_unknown_what_was_recorded_meanwhile(server, publisher_at):
    def meanwhile(exchange):
        assert not publisher_at(server.url).store("bucket", "key", b"first", overwrite="changed").skipped
        exchange.answer_as_usual()

    server.fault("PutObject", meanwhile)
    publisher_at(server.url).store("bucket", "key", b"second")
    assert not publisher_at(server.url).store("bucket", "key", b"first", overwrite="changed").skipped


@pytest.mark.parametrize(
    "damage", [lambda text: b"", lambda text: text[:-1], lambda text: text.replace(b"sha256", b"sha255")],
    ids=["empty", "cut-off", "altered"],
)  # fmt: skip
def test_damaged_record_is_none(moto_url, store_at, record, damage):
    assert store_at(moto_url, b"weights")
    record.path.write_bytes(damage(record.path.read_bytes()))
    assert store_at(moto_url, b"weights")


@pytest.mark.parametrize(
    "change", [{"at": None}, {"at": "x"}, {"at": 0.0}, {"at": 1e300}, {"sha256": None}, {"sha256": ["x"]}], ids=repr
)
def test_record_of_another_shape_is_none(moto_url, store_at, record, change):
    assert store_at(moto_url, b"weights")
    record.write({**record.read(), **change})
    assert store_at(moto_url, b"weights")


def test_record_holds_for_ninety_days(moto_url, store_at, record):
    assert store_at(moto_url, b"weights")
    record.write({**record.read(), "at": time.time() - 89 * 86400})
    assert not store_at(moto_url, b"weights")
    record.write({**record.read(), "at": time.time() - 91 * 86400})
    assert store_at(moto_url, b"weights")


def test_old_records_are_removed(moto_url, store_at, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.unchanged._SWEEP", 1.0)
    old = Records("stored").of(["host", "bucket", "key"])
    old.write({})
    os.utime(old.path, (time.time() - 91 * 86400,) * 2)
    assert store_at(moto_url, b"weights")
    assert not old.path.exists()
    assert not store_at(moto_url, b"weights")


def test_without_a_place_for_records_everything_is_sent_and_the_log_says_so_once(
    moto_url, store_at, state_folder, log_lines
):
    state_folder.parent.mkdir(parents=True, exist_ok=True)
    state_folder.write_bytes(b"in the way")
    assert store_at(moto_url, b"weights")
    assert store_at(moto_url, b"weights")
    (line,) = log_lines()
    assert "unchanged files are sent again" in line
