"""Tests `cdn-manager publish`."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from command import publish_files, run, write_config, write_files
from local_store import WRITER
from scripted_server import ScriptedServer

from cdn_engine.phases import COMPARING, FINISHING, HASHING, SENDING


def test_release_is_published_and_its_identity_is_printed(store, bucket, admin, keys_at_store, capsys):
    write_config(store.url)
    write_files("release", **{"config.json": b"{}", "deep__weights": b"1" * 2000})
    assert run("publish", bucket, "release", "v1", "--prefix", "llama") == 0
    first, second = capsys.readouterr().out.splitlines()
    manifest = admin.get_object(Bucket=bucket, Key="llama/releases/v1.json")["Body"].read()
    assert first.startswith("published v1: 2 files, 2.0 kB in ")
    assert second == f"sha256 {hashlib.sha256(manifest).hexdigest()}"
    objects = [f"llama/objects/{hashlib.sha256(content).hexdigest()}" for content in (b"{}", b"1" * 2000)]
    assert sorted(keys_at_store()) == sorted([*objects, "llama/releases/v1.json"])


def test_what_is_stored_is_not_sent_again_and_the_line_says_so(store, bucket, capsys):
    write_config(store.url)
    publish_files(bucket, "v1", **{"config.json": b"{}", "weights": b"1" * 2000})
    publish_files(bucket, "v1")
    write_files("v1", **{"config.json": b"{1}"})
    assert run("publish", bucket, "v1", "v2", "--json") == 0
    *_, done, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert done.items() >= {
        "event": "done", "bucket": bucket, "key": "v2", "name": "v2", "path": "v1", "files": 2, "size": 2003,
        "transferred": 3, "resumed_from": 0, "skipped": False,
    }.items()  # fmt: skip
    assert summary.items() >= {"event": "summary", "done": 1, "skipped": 0, "unverified": 0, "transferred": 3}.items()
    assert run("publish", bucket, "v1", "v2") == 0
    assert capsys.readouterr().out == f"v2 is published already: 2 files, 2.0 kB\nsha256 {done['sha256']}\n"
    write_files("v1", more=b"12345")
    assert run("publish", bucket, "v1", "v3") == 0
    assert ", 2.0 kB stored before\n" in capsys.readouterr().out


def test_another_release_of_the_name_is_a_failure_of_one_line(store, bucket, keys_at_store, capsys):
    write_config(store.url)
    publish_files(bucket, "v1", a=b"1")
    before = keys_at_store()
    write_files("v1", a=b"2")
    assert run("publish", bucket, "v1", "v1") == 1
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    assert line.startswith(f"cdn-manager: {bucket}/v1: another release is at the store as 'v1'")
    assert keys_at_store() == before


def test_uploader_key_alone_publishes(store, bucket, keys_at_store, capsys):
    write_config(store.url, None, WRITER)
    publish_files(bucket, "v1", a=b"1")
    assert "releases/v1.json" in keys_at_store()


@pytest.mark.portable
@pytest.mark.parametrize(
    ("secret", "name", "reason"),
    [
        ("cdn.yaml", "cdn.yaml", "is the configuration file in use: this would publish the credentials"),
        ("cdn.yaml", ".hidden__copy", "is the configuration file in use: this would publish the credentials"),
        ("key.pem", "deep__key", "is the key of --sign: this would publish it"),
    ],
)
def test_secret_in_the_directory_is_not_published(capsys, secret, name, reason):
    with ScriptedServer() as server:
        write_config(server.url)
        Path("key.pem").write_bytes(b"secret")
        path = Path("release", name.replace("__", "/"))
        write_files("release", a=b"1", **{name: b""})
        path.unlink()
        os.link(secret, path)
        assert run("publish", "models", "release", "v1", "--sign", "key.pem") == 2
        assert not server.requests
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"cdn-manager: {str(path)!r} {reason}"
    assert second == "cdn-manager: nothing was published"


@pytest.mark.portable
def test_publish_without_uploader_key_names_it(moto_url, capsys):
    write_config(moto_url, writer=None)
    write_files("release", a=b"1")
    assert run("publish", "models", "release", "v1") == 2
    assert "no uploader_access_key: this machine cannot publish" in capsys.readouterr().err


@pytest.mark.portable
def test_directory_that_cannot_be_published_is_a_failure_that_names_the_file(config, moto_bucket, stored, capsys):
    write_files("release", a=b"1")
    Path("release", "link").symlink_to(".", target_is_directory=True)
    assert run("publish", moto_bucket, "release", "v1", "--json") == 1
    written = capsys.readouterr()
    failed, summary = map(json.loads, written.out.splitlines())
    assert failed.items() >= {"event": "failed", "bucket": moto_bucket, "key": "v1", "path": "release"}.items()
    assert (summary["done"], summary["failed"]) == (0, 1)
    assert "'link': it is a link to a directory" in written.err
    assert stored() == []


@pytest.mark.portable
@pytest.mark.parametrize("phase", [HASHING, COMPARING, SENDING, FINISHING])
def test_ctrl_c_leaves_no_release_and_the_next_run_goes_on(config, moto_bucket, stored, capsys, ctrl_c_in, phase):
    write_files("release", a=b"1", b=b"2" * 3000)
    known = ctrl_c_in(phase)
    assert run("publish", moto_bucket, "release", "v1") == 130
    assert known.is_set()
    assert "releases/v1.json" not in stored()
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines()[-1].endswith("what the store has is kept: run the command again to go on")
    assert run("publish", moto_bucket, "release", "v1") == 0
    assert "releases/v1.json" in stored()
    assert not [key for key in stored() if key.startswith("publishing/")]
