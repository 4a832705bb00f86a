"""Tests `cdn-manager rm`."""

import json
import os

import pytest
from command import run, write_config, write_files
from local_store import WRITER
from scripted_server import ScriptedServer, answering
from terminal import Terminal

from cdn_engine.upload import unchanged

PAIRS = pytest.mark.parametrize("reader", [True, False], ids=["both-pairs", "write-key-alone"])


@pytest.fixture
def keys(admin, bucket):
    """A function that stores objects in a bucket of the real store, then returns the keys in it."""

    def listed(*added):
        for key in added:
            admin.put_object(Bucket=bucket, Key=key, Body=b"12345")
        return [entry["Key"] for entry in admin.list_objects_v2(Bucket=bucket).get("Contents", ())]

    return listed


def test_named_objects_are_removed_and_no_others(store, bucket, keys, capsys):
    write_config(store.url)
    keys("a.bin", "v2/b.bin", "v2/c.bin")
    assert run("rm", bucket, "a.bin", "v2/b.bin") == 0
    assert keys() == ["v2/c.bin"]
    assert capsys.readouterr().out == (
        f"removed {bucket}/a.bin\nremoved {bucket}/v2/b.bin\nremoved 2 objects, 10 bytes\n"
    )


def test_write_key_alone_can_remove_and_cannot_know_what_was_there(store, bucket, keys, capsys):
    write_config(store.url, None, WRITER)
    keys("a.bin")
    assert run("rm", bucket, "a.bin", "nothing") == 0
    assert keys() == []
    assert capsys.readouterr().out.endswith("removed 2 objects\n")


def test_prefix_removes_what_is_below_it_once_that_is_agreed_to(store, bucket, keys, capsys):
    write_config(store.url)
    keys("v2.bin", "v2/a", "v2/deep/b", "v20/c")
    assert run("rm", bucket, "--prefix", "v2") == 2
    assert "there is no terminal: give --yes" in capsys.readouterr().err
    assert len(keys()) == 4
    assert run("rm", bucket, "--prefix", "v2", "--yes", "--json") == 0
    assert keys() == ["v2.bin", "v20/c"]
    *events, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(event["event"], event["key"], event["size"]) for event in events] == [
        ("removed", "v2/a", 5), ("removed", "v2/deep/b", 5)
    ]  # fmt: skip
    assert summary == {"event": "summary", "removed": 2, "failed": 0, "size": 10}


@pytest.mark.skipif(os.name != "posix", reason="POSIX pseudo-terminals")
@pytest.mark.parametrize(("answer", "left"), [(b"y\n", []), (b"\n", ["v2/a", "v2/b"])], ids=["yes", "default"])
def test_prefix_asks_on_a_terminal(store, bucket, keys, answer, left):
    write_config(store.url)
    keys("v2/a", "v2/b")
    command = Terminal("rm", bucket, "--prefix", "v2/")
    command.read_until(rf"remove 2 objects \(10 bytes\) below 'v2/' from '{bucket}'\? \[y/N\] ")
    os.write(command.end, answer)
    assert command.wait() == bool(left)
    assert keys() == left
    assert ("nothing was removed" in command.screen) == bool(left)


@pytest.mark.parametrize("what", [["v2/a", "v2/b"], ["--prefix", "v2"]], ids=["keys", "prefix"])
def test_dry_run_removes_nothing_and_says_what_it_would(store, bucket, keys, capsys, what):
    write_config(store.url, writer=None)
    keys("v2/a", "v2/b")
    assert run("rm", bucket, *what, "--dry-run") == 0
    assert keys() == ["v2/a", "v2/b"]
    assert capsys.readouterr().out == (
        f"would remove {bucket}/v2/a\nwould remove {bucket}/v2/b\nwould remove 2 objects, 10 bytes\n"
    )


@PAIRS
def test_file_whose_object_was_removed_is_uploaded_again(store, bucket, keys, capsys, reader):
    """With a write key alone, a record would say that the store still has it."""
    write_config(store.url, *([] if reader else [None, WRITER]))
    write_files(".", **{"a.bin": b"a"})
    assert run("upload", bucket, "a.bin") == 0
    assert run("rm", bucket, "a.bin") == 0
    assert run("upload", bucket, "a.bin") == 0
    assert keys() == ["a.bin"]


@pytest.mark.portable
def test_what_is_remembered_of_an_object_is_forgotten_before_and_after_it_is_removed(moto_url, moto_bucket, stored):
    """Before, as the process may die in between; after, as an upload may have ended in between."""
    with ScriptedServer(moto_url) as server:
        record = unchanged._records.of([server.url, moto_bucket, "a.bin"])
        record.write({"sha256": "0" * 64})
        before = []

        def store_meanwhile(exchange):
            before.append(record.read())
            record.write({"sha256": "0" * 64})
            exchange.answer(204)

        server.fault("AbortMultipartUpload", store_meanwhile)  # any DELETE
        write_config(server.url, None, WRITER)
        assert run("rm", moto_bucket, "a.bin") == 0
        assert (before, record.read()) == ([None], None)


@pytest.mark.portable
def test_missing_object_is_a_failure_and_the_others_are_removed(config, moto_bucket, stored, capsys):
    stored(a=b"1")
    assert run("rm", moto_bucket, "*.bin", "a", "gone", "gone") == 1
    assert stored() == []
    written = capsys.readouterr()
    assert written.err.splitlines() == [
        f"cdn-manager: {moto_bucket}/*.bin: no such object: '*' is a character of the key here",
        f"cdn-manager: {moto_bucket}/gone: no such object",
    ]
    assert written.out.endswith("removed 1 object, 1 byte\n")


@pytest.mark.portable
def test_key_that_names_a_directory_is_refused_and_nothing_is_removed(config, moto_bucket, stored, capsys):
    stored(a=b"1", **{"v2/": b"", "v2/b": b"1"})
    assert run("rm", moto_bucket, "a", "v2/") == 2
    assert stored() == ["a", "v2/", "v2/b"]
    assert capsys.readouterr().err == "cdn-manager: 'v2/' is a directory: --prefix v2/ removes everything below it\n"


@pytest.mark.portable
def test_asterisk_removes_the_object_that_has_it_in_its_key_and_nothing_else(config, moto_bucket, stored):
    stored(**{"*": b"1", "a": b"1"})
    assert run("rm", moto_bucket, "*") == 0
    assert stored() == ["a"]


@pytest.mark.portable
@pytest.mark.parametrize("prefix", ["", "/"])
def test_rm_never_empties_a_bucket(config, moto_bucket, stored, capsys, prefix):
    stored(a=b"1")
    assert run("rm", moto_bucket, "--prefix", prefix, "--yes") == 2
    assert stored() == ["a"]
    assert "rm does not empty a bucket" in capsys.readouterr().err


@pytest.mark.portable
def test_removal_in_a_bucket_with_versions_says_that_they_remain(config, moto_admin, moto_bucket, stored, capsys):
    moto_admin.put_bucket_versioning(Bucket=moto_bucket, VersioningConfiguration={"Status": "Enabled"})
    stored(a=b"1")
    assert run("rm", moto_bucket, "a") == 0
    assert capsys.readouterr().out.startswith(f"removed {moto_bucket}/a (its older versions remain)\n")
    assert len(moto_admin.list_object_versions(Bucket=moto_bucket)["Versions"]) == 1


@pytest.mark.portable
def test_object_that_the_downloader_key_may_not_see_is_removed(moto_url, moto_bucket, stored):
    stored(a=b"1")
    with ScriptedServer(moto_url) as server:
        server.fault("HEAD", answering(403))
        write_config(server.url)
        assert run("rm", moto_bucket, "a") == 0
    assert stored() == []


@pytest.mark.portable
def test_refused_removal_is_a_failure_of_that_object(moto_url, moto_bucket, stored, capsys):
    stored(a=b"1")
    with ScriptedServer(moto_url) as server:
        server.fault("AbortMultipartUpload", answering(403, "AccessDenied"))  # any DELETE
        write_config(server.url)
        assert run("rm", moto_bucket, "a", "--json") == 1
    written = capsys.readouterr()
    failed, summary = map(json.loads, written.out.splitlines())
    assert (failed["event"], failed["key"]) == ("failed", "a")
    assert failed["error"] in ("AccessDenied", "ClientError")  # the boto3 of 2025 has no class for it
    assert (summary["removed"], summary["failed"]) == (0, 1)
    assert f"{moto_bucket}/a: the store answered 403 AccessDenied" in written.err


@pytest.mark.portable
@pytest.mark.parametrize(
    ("pairs", "arguments", "sentence"),
    [
        ({"writer": None}, ["a"], "no uploader_access_key: this machine cannot remove anything"),
        ({"reader": None}, ["--prefix", "p", "--yes"], "--prefix lists with the downloader key"),
    ],
    ids=["uploader", "downloader"],
)
def test_rm_without_the_key_pair_it_needs_names_it(moto_url, capsys, pairs, arguments, sentence):
    write_config(moto_url, **pairs)
    assert run("rm", "models", *arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.portable
def test_prefix_without_objects_is_a_failure(config, moto_bucket, capsys):
    assert run("rm", moto_bucket, "--prefix", "v9", "--yes") == 1
    assert "no object below 'v9/'" in capsys.readouterr().err
