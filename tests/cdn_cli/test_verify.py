"""Tests `cdn-manager verify`."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from command import run, write_config, write_files
from local_store import WRITER
from scripted_server import ScriptedServer, answering

from cdn_engine.download import partial


def events(capsys):
    """Return what was written as JSON: the events by key, and the summary."""
    *found, summary = map(json.loads, capsys.readouterr().out.splitlines())
    return {event["key"]: event for event in found}, summary


@pytest.fixture
def release(store, bucket):
    """A directory that was uploaded to the real store below `v2/`."""
    write_config(store.url)
    write_files("release", **{"a.bin": b"weights", "deep__b.bin": b"1" * 2000})
    assert run("upload", bucket, "release", "--prefix", "v2", "--quiet") == 0
    return Path("release")


def test_directory_that_was_uploaded_matches(release, bucket, capsys):
    assert run("verify", "release", bucket, "--prefix", "v2") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("verified 2 files, 2.0 kB in ")
    assert run("verify", "release/a.bin", bucket, "--prefix", "v2", "--verbose") == 0
    assert capsys.readouterr().out.startswith(f"matches {bucket}/v2/a.bin\nverified 1 file, 7 bytes in ")


@pytest.mark.parametrize("into", [[], ["--into", "place"]], ids=["bucket", "into"])
def test_directory_that_was_downloaded_matches(release, bucket, into):
    assert run("download", bucket, "--prefix", "v2", *into, "--quiet") == 0
    folder = into[-1] if into else bucket
    assert run("verify", folder, bucket) == 0
    assert run("verify", f"{folder}/v2", bucket, "--prefix", "v2") == 0


def test_every_file_that_does_not_match_is_named_and_nothing_is_downloaded(release, bucket, admin, capsys):
    write_files(
        "release", same_size=b"1234567", **{"another-size": b"1", "new.bin": b"new", "plain": b"plain", "odd": b"odd"}
    )
    for key, body, metadata in (
        ("same_size", b"7654321", {"sha256": hashlib.sha256(b"7654321").hexdigest()}), ("another-size", b"22", {}),
        ("plain", b"plain", {}), ("odd", b"ddo", {}), ("only-there", b"x", {}), ("dir/", b"", {}),
    ):  # fmt: skip
        admin.put_object(Bucket=bucket, Key=f"v2/{key}", Body=body, Metadata=metadata)
    assert run("verify", "release", bucket, "--prefix", "v2", "--json") == 1
    found, summary = events(capsys)
    assert {key.removeprefix("v2/"): event["state"] for key, event in found.items()} == {
        "a.bin": "matches", "deep/b.bin": "matches", "same_size": "differs", "another-size": "differs",
        "new.bin": "missing", "plain": "matches", "odd": "unverifiable", "only-there": "not_here",
    }  # fmt: skip
    assert found["v2/plain"]["verified_by"] == "md5"
    assert found["v2/a.bin"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    counts = {"matches": 3, "differs": 2, "missing": 1, "unverifiable": 1, "not_here": 1, "failed": 0}
    assert summary.items() >= counts.items()
    assert run("verify", "release", bucket, "--prefix", "v2") == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert f"'release{os.sep}new.bin' is not at the store: {bucket}/v2/new.bin" in lines
    assert f"{bucket}/v2/only-there is at the store, and not here" in lines
    assert last.startswith("verified 3 of 8 files, ")
    assert last.endswith(", 2 different, 1 not at the store, 1 cannot be compared, 1 not here")


@pytest.mark.portable
def test_quiet_verify_writes_only_what_does_not_match(config, moto_bucket, stored, capsys):
    stored(a=b"1", b=b"2")
    write_files("x", a=b"1", b=b"22")
    assert run("verify", "x", moto_bucket, "--quiet") == 1
    written = capsys.readouterr()
    path = os.path.join("x", "b").replace("\\", "\\\\")
    assert written == ("", f"cdn-manager: '{path}' differs from the object: {moto_bucket}/b\n")


@pytest.mark.portable
def test_one_file_may_have_another_name_than_its_object(config, moto_bucket, stored, capsys):
    stored(**{"v2/a": b"1"})
    write_files(".", other=b"1")
    assert run("verify", "other", moto_bucket, "--key", "v2/a") == 0
    assert run("verify", ".", moto_bucket, "--key", "v2/a") == 2


@pytest.mark.portable
def test_object_in_parts_of_another_client_is_recognized_by_its_etag(config, moto_admin, moto_bucket, stored, capsys):
    content = os.urandom((5 << 20) + 9)
    upload = {"Bucket": moto_bucket, "Key": "a"}
    upload["UploadId"] = moto_admin.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, body in ((1, content[:5 << 20]), (2, content[5 << 20:])):
        answer = moto_admin.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    moto_admin.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    write_files("x", a=content)
    assert run("verify", "x", moto_bucket, "--json") == 0
    assert events(capsys)[0]["a"]["verified_by"] == "md5"


@pytest.mark.portable
def test_unfinished_downloads_hidden_and_excluded_files_are_not_compared(config, moto_bucket, stored, capsys):
    stored(**{"p/a": b"1", "p/b.log": b"1", "p/.h": b"1"})
    write_files("x", **{"a": b"1", "c.log": b"1", ".git__config": b"1", f"{partial.RESERVED_PREFIX}1.part": b"1"})
    assert run("verify", "x", moto_bucket, "--prefix", "p", "--exclude", "*.log") == 0
    left_out = os.path.join("x", ".git")
    assert capsys.readouterr().err == f"cdn-manager: hidden, and left out without --hidden: {left_out!r}\n"
    assert run("verify", "x", moto_bucket, "--prefix", "p", "--hidden") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(", 2 not at the store, 2 not here")


@pytest.mark.portable
def test_refusal_is_a_failure_of_that_file(moto_url, moto_bucket, stored, capsys):
    stored(a=b"1", b=b"1")
    write_files("x", a=b"1", b=b"1")
    with ScriptedServer(moto_url) as server:
        server.fault("HEAD", answering(403), answering(404))
        write_config(server.url)
        assert run("verify", "x", moto_bucket, "--jobs", "1", "--json") == 1
    written = capsys.readouterr()
    failed, compared, summary = map(json.loads, written.out.splitlines())
    assert (failed["event"], failed["path"]) == ("failed", os.path.join("x", "a"))
    assert (compared["state"], summary["failed"], summary["missing"]) == ("missing", 1, 1)
    assert f"{moto_bucket}/a: the store answered 403" in written.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes that are files")
def test_pipe_is_a_failure_and_is_not_waited_for(config, moto_bucket, stored, capsys):
    stored(a=b"1")
    write_files("x", a=b"1")
    os.mkfifo(os.path.join("x", "pipe"))
    assert run("verify", "x", moto_bucket) == 1
    written = capsys.readouterr()
    assert "verified 1 of 2 files" in written.out
    assert "neither a file nor a directory" in written.err


@pytest.mark.portable
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["nowhere", "models"], "no file or directory 'nowhere'"), (["empty", "models"], "nothing to compare")],
)
def test_nothing_to_compare_is_a_usage_error(config, capsys, arguments, sentence):
    Path("empty").mkdir()
    assert run("verify", *arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.portable
def test_verify_without_a_downloader_key_is_a_usage_error(moto_url, capsys):
    write_config(moto_url, None, WRITER)
    write_files(".", a=b"1")
    assert run("verify", "a", "models") == 2
    assert "no downloader_access_key: this machine cannot compare anything" in capsys.readouterr().err
