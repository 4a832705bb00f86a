"""Tests `cdn-manager orphans`."""

import json
import time

import pytest
from command import run, write_config
from local_store import READER, WRITER
from scripted_server import ScriptedServer, answering

from cdn_engine.file_lock import lock_named, release
from cdn_engine.upload.journal import Unfinished, _records


@pytest.fixture
def begun(admin, bucket):
    """A function that begins an upload in parts in a bucket of the real store. Those that remain are aborted."""

    def begin(key):
        return admin.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]

    yield begin
    for key, upload_id in left(admin, bucket).items():
        admin.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def left(admin, bucket):
    """Return the unfinished uploads of a bucket: ids by key."""
    return {entry["Key"]: entry["UploadId"] for entry in admin.list_multipart_uploads(Bucket=bucket).get("Uploads", ())}


def journal(url, bucket, key, upload_id, completing_at=None):
    """Write a journal, as an upload does that has not ended. Return its record."""
    record = _records.of([url, bucket, key], "0" * 64)
    assert Unfinished(url, bucket, key, upload_id, 1, "x", {}, completing_at).write(record)
    return record


def test_unfinished_uploads_are_listed_by_age_and_aborted_if_asked_for(store, bucket, admin, begun, capsys):
    write_config(store.url)
    upload_id = begun("v2/a\u202e.bin")
    assert run("orphans", bucket) == 0
    assert capsys.readouterr().out == "0 unfinished uploads\n"
    assert run("orphans", bucket, "--older-than", "0s") == 0
    line, last = capsys.readouterr().out.splitlines()
    assert line.split(maxsplit=2) == ["0", "min", f"v2/a\\u202e.bin  {upload_id}"]
    assert last == "1 unfinished upload"
    assert run("orphans", bucket, "--older-than", "0s", "--abort", "--dry-run") == 0
    assert capsys.readouterr().out.endswith("\nwould abort 1 unfinished upload\n")
    assert run("orphans", bucket, "--abort") == 0
    assert len(left(admin, bucket)) == 1
    assert run("orphans", bucket, "--older-than", "0s", "--abort") == 0
    assert capsys.readouterr().out.endswith("\naborted 1 unfinished upload\n")
    assert left(admin, bucket) == {}


def test_resumable_upload_is_named_as_such_and_its_journal_goes_with_it(store, bucket, admin, begun, capsys):
    write_config(store.url)
    record = journal(store.url, bucket, "mine", begun("mine"))
    begun("other")
    assert run("orphans", bucket, "--older-than", "0s", "--json") == 0
    *found, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert {event["key"]: event["resumable"] for event in found} == {"mine": True, "other": False}
    assert summary == {"event": "summary", "orphans": 2, "aborted": 0, "failed": 0}
    assert record.read()
    assert run("orphans", bucket, "--older-than", "0s", "--abort") == 0
    assert left(admin, bucket) == {}
    assert record.read() is None


@pytest.mark.parametrize("completing", [False, True], ids=["running", "completing"])
def test_upload_that_is_at_work_is_not_aborted(store, bucket, admin, begun, capsys, completing):
    write_config(store.url)
    record = journal(store.url, bucket, "mine", begun("mine"), time.time() if completing else None)
    path = record.path.with_suffix(".lock")
    lock = None if completing else lock_named(path)
    begun("other")
    assert run("orphans", bucket, "--older-than", "0s", "--abort") == 1
    assert list(left(admin, bucket)) == ["mine"]
    reason = "the store may be putting" if completing else "a process on this machine"
    assert f"{bucket}/mine: {reason} " in capsys.readouterr().err
    assert record.read()
    if lock:
        release(lock, path)


def test_write_key_that_may_not_list_is_told_the_permission(store, bucket, capsys):
    write_config(store.url, None, WRITER)
    assert run("orphans", bucket) == 1
    assert "needs the permission s3:ListBucketMultipartUploads" in capsys.readouterr().err


def test_rejected_key_is_not_told_as_a_missing_permission(store, bucket, capsys):
    write_config(store.url, (READER[0], "another-secret"), WRITER)
    assert run("orphans", bucket) == 1
    written = capsys.readouterr().err
    assert "asked with the downloader key: the store answered 403 SignatureDoesNotMatch" in written
    assert "permission" not in written


@pytest.mark.portable
def test_uploader_key_lists_if_the_downloader_key_may_not(moto_url, moto_admin, moto_bucket, capsys):
    moto_admin.create_multipart_upload(Bucket=moto_bucket, Key="a")
    with ScriptedServer(moto_url) as server:
        server.fault("GET", answering(403, "AccessDenied"))
        write_config(server.url)
        assert run("orphans", moto_bucket, "--older-than", "0s") == 0
    assert capsys.readouterr().out.endswith("\n1 unfinished upload\n")


@pytest.mark.portable
def test_upload_that_is_gone_already_counts_as_aborted_and_a_refusal_as_a_failure(
    moto_url, moto_admin, moto_bucket, capsys
):
    for key in ("a", "b"):
        moto_admin.create_multipart_upload(Bucket=moto_bucket, Key=key)
    with ScriptedServer(moto_url) as server:
        server.fault("AbortMultipartUpload", answering(404, "NoSuchUpload"), answering(403, "AccessDenied"))
        write_config(server.url)
        assert run("orphans", moto_bucket, "--older-than", "0s", "--abort", "--json") == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(event["event"] for event in events) == ["aborted", "failed", "summary"]
    assert events[-1] == {"event": "summary", "orphans": 2, "aborted": 1, "failed": 1}


@pytest.mark.portable
def test_orphans_without_an_uploader_key_can_be_listed_but_not_aborted(moto_url, moto_bucket, capsys):
    write_config(moto_url, READER, None)
    assert run("orphans", moto_bucket, "--abort", "--dry-run") == 0
    assert run("orphans", moto_bucket, "--abort") == 2
    assert "this machine cannot abort anything" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.parametrize("age", ["1", "d", "1w", "-1d", "1e3s", "", "1 d"])
def test_age_needs_a_number_and_a_unit(config, moto_bucket, capsys, age):
    assert run("orphans", moto_bucket, f"--older-than={age}") == 2
    assert "must be a number with a unit" in capsys.readouterr().err


@pytest.mark.portable
def test_age_is_shown_in_a_unit_that_fits(moto_url, capsys):
    ages = {"fresh": 1, "minutes": 7081, "hours": 7200, "days": 2 * 86400}
    entries = "".join(
        f"<Upload><Key>{key}</Key><UploadId>u</UploadId><Initiated>"
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - age))}</Initiated></Upload>"
        for key, age in ages.items()
    )
    body = f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{entries}</ListMultipartUploadsResult>"
    with ScriptedServer() as server:
        server.fault("GET", answering(200, body=body.encode()))
        write_config(server.url)
        assert run("orphans", "models", "--older-than", "0s") == 0
    *lines, _ = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()[:2]) for line in lines] == ["0 min", "118 min", "2 hours", "2 days"]
