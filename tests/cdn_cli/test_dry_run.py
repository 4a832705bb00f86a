"""Tests `--dry-run` of uploads and downloads: what it says is what the command then does."""

import json
import os
from pathlib import Path

import pytest
from command import run, write_config, write_files
from local_store import READER, WRITER


def told(capsys):
    """Return the events that were written as JSON, by key, and the summary."""
    *events, summary = map(json.loads, capsys.readouterr().out.splitlines())
    return {event["key"]: event["event"] for event in events}, summary


def test_upload_says_what_it_would_send_and_sends_nothing(store, bucket, admin, capsys):
    write_config(store.url)
    write_files("release", same=b"1", changed=b"1")
    assert run("upload", bucket, "release", "--quiet") == 0
    write_files("release", changed=b"22", new=b"333")
    admin.put_object(Bucket=bucket, Key="plain", Body=b"4444")  # without a digest: an upload would add it
    write_files("release", plain=b"4444")
    write_config(store.url, writer=None)
    assert run("upload", bucket, "release", "--dry-run", "--json") == 0
    events, summary = told(capsys)
    assert events == {"same": "unchanged", "changed": "would_upload", "new": "would_upload", "plain": "would_upload"}
    assert summary == {"event": "summary", "would_upload": 3, "unchanged": 1, "failed": 0, "size": 9}
    assert [entry["Key"] for entry in admin.list_objects_v2(Bucket=bucket)["Contents"]] == ["changed", "plain", "same"]
    write_config(store.url)
    assert run("upload", bucket, "release", "--json") == 0
    *done, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert {event["key"] for event in done if not event["skipped"]} == {"changed", "new", "plain"}


def test_download_says_what_it_would_transfer_and_makes_nothing(store, bucket, admin, capsys):
    write_config(store.url)
    write_files("release", same=b"1", changed=b"1")
    assert run("upload", bucket, "release", "--prefix", "v2", "--quiet") == 0
    assert run("download", bucket, "--prefix", "v2", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"would download {bucket}/v2/changed (1 byte)", f"would download {bucket}/v2/same (1 byte)",
        "would download 2 files, 2 bytes; 0 unchanged",
    ]  # fmt: skip
    assert os.listdir() == ["cdn.yaml", "release"] or sorted(os.listdir()) == ["cdn.yaml", "release"]
    assert run("download", bucket, "--prefix", "v2", "--quiet") == 0
    Path(bucket, "v2", "changed").write_bytes(b"2")
    for what in (["--prefix", "v2"], ["v2/same", "v2/changed"]):
        assert run("download", bucket, *what, "--dry-run", "--json") == 0
        events, summary = told(capsys)
        assert events == {"v2/same": "unchanged", "v2/changed": "would_download"}
        assert summary == {"event": "summary", "would_download": 1, "unchanged": 1, "failed": 0, "size": 1}
    assert Path(bucket, "v2", "changed").read_bytes() == b"2"


@pytest.mark.portable
def test_upload_that_cannot_compare_says_so(moto_url, moto_bucket, stored, capsys):
    write_config(moto_url, None, WRITER)
    write_files(".", a=b"1")
    assert run("upload", moto_bucket, "a", "--dry-run") == 0
    assert capsys.readouterr().out.startswith(f"would upload {moto_bucket}/a (1 byte, not compared)\n")
    assert stored() == []


@pytest.mark.portable
def test_force_would_send_everything(config, moto_bucket, capsys):
    write_files(".", a=b"1")
    assert run("upload", moto_bucket, "a", "--quiet") == 0
    assert run("upload", moto_bucket, "a", "--dry-run", "--force") == 0
    assert capsys.readouterr().out.startswith(f"would upload {moto_bucket}/a (1 byte)\n")


@pytest.mark.portable
def test_no_overwrite_would_fail_for_what_exists(config, moto_bucket, stored, capsys):
    stored(a=b"old")
    write_files("release", a=b"1", b=b"2")
    assert run("upload", moto_bucket, "release", "--dry-run", "--no-overwrite") == 1
    written = capsys.readouterr()
    assert written.out.startswith(f"would upload {moto_bucket}/b (1 byte)\n")
    assert written.err == f"cdn-manager: {moto_bucket}/a: the object already exists and would not be replaced\n"


@pytest.mark.portable
def test_download_of_what_does_not_exist_or_cannot_be_a_file_would_fail(config, moto_bucket, stored, capsys):
    stored(**{"a": b"1", "a/b": b"1", "p/../c": b"1"})
    assert run("download", moto_bucket, "nothing", "a", "a/b", "p/../c", "--dry-run", "--json") == 1
    events, summary = told(capsys)
    assert events == {"nothing": "failed", "a": "failed", "a/b": "would_download", "p/../c": "failed"}
    assert summary["failed"] == 3


@pytest.mark.portable
def test_download_of_an_object_without_digest_that_is_remembered_would_transfer_nothing(
    moto_url, moto_admin, moto_bucket, capsys
):
    """By the record that the download itself goes by."""
    write_config(moto_url, READER, None)
    moto_admin.put_object(Bucket=moto_bucket, Key="a", Body=b"1" * (2 << 20))
    for expected in ("would_download", "unchanged"):
        assert run("download", moto_bucket, "a", "--dry-run", "--json") == 0
        assert told(capsys)[0] == {"a": expected}
        assert run("download", moto_bucket, "a", "--quiet") == 0
