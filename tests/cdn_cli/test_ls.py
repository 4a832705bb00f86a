"""Tests `cdn-manager ls`."""

import hashlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from command import PROGRAM, run, write_config, write_files
from local_store import READER, WRITER
from scripted_server import ScriptedServer, answering

SHA256 = hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize("digests", [[], ["--digests"]], ids=["listing", "digests"])
def test_objects_are_shown_in_lines_with_a_total_at_the_end(store, bucket, admin, capsys, digests):
    write_config(store.url)
    write_files("release", **{"a.bin": b"weights", "deep__b.bin": b"1" * 2000})
    assert run("upload", bucket, "release", "--prefix", "v2", "--quiet") == 0
    admin.put_object(Bucket=bucket, Key="v3.bin", Body=b"")
    assert run("ls", bucket, *digests) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +(\S+ \w+)  (.{64}  )?(\S+)", line) for line in lines]
    assert [(match[1], match[3]) for match in found] == [
        ("7 bytes", "v2/a.bin"), ("2.0 kB", "v2/deep/b.bin"), ("0 bytes", "v3.bin")
    ]  # fmt: skip
    assert len({match.start(3) for match in found}) == 1
    assert last == "3 objects, 2.0 kB"
    if digests:
        assert found[0][2].strip() == SHA256
        assert found[2][2].strip() == "-"


def test_json_has_an_object_for_each_object_of_the_store(store, bucket, capsys):
    write_config(store.url)
    write_files(".", **{"a.bin": b"weights"})
    assert run("upload", bucket, "a.bin", "--quiet") == 0
    assert run("ls", bucket, "a", "--digests", "--json") == 0
    found, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert found.pop("modified").startswith("20")
    assert found == {
        "event": "object", "bucket": bucket, "key": "a.bin", "size": 7, "sha256": SHA256,
        "etag": hashlib.md5(b"weights").hexdigest(),
    }  # fmt: skip
    assert summary == {"event": "summary", "objects": 1, "failed": 0, "size": 7}


@pytest.mark.portable
def test_prefix_is_a_text_and_not_a_directory(config, moto_bucket, stored, capsys):
    stored(**{"v2.bin": b"1", "v2/a": b"1", "v3/a": b"1"})
    assert run("ls", moto_bucket, "v2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 objects, 2 bytes"
    assert run("ls", moto_bucket, "v2/") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 object, 1 byte"


@pytest.mark.portable
def test_empty_bucket_is_no_failure_and_a_prefix_without_objects_is_one(config, moto_bucket, stored, capsys):
    assert run("ls", moto_bucket) == 0
    assert capsys.readouterr() == ("0 objects, 0 bytes\n", "")
    assert run("ls", moto_bucket, "v9") == 1
    assert capsys.readouterr() == ("", f"cdn-manager: no key begins with 'v9' in '{moto_bucket}'\n")


@pytest.mark.portable
def test_quiet_ls_writes_nothing(config, moto_bucket, stored, capsys):
    stored(a=b"1")
    assert run("ls", moto_bucket, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.portable
def test_listed_key_cannot_control_the_terminal(config, moto_bucket, stored, capsys):
    stored(**{"a\x9b\u202eb": b"1"})
    assert run("ls", moto_bucket) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("  a\\x9b\\u202eb")


@pytest.mark.portable
def test_listing_that_is_cut_off_fails_after_what_it_has_shown(capsys):
    entry = "<Contents><Key>a</Key><Size>5</Size><LastModified>soon\x1b</LastModified></Contents>"
    body = f"<ListBucketResult><IsTruncated>true</IsTruncated>{entry.replace(chr(27), '')}</ListBucketResult>"
    with ScriptedServer() as server:
        server.fault("GET", answering(200, body=body.encode()))
        write_config(server.url)
        assert run("ls", "models") == 1
    written = capsys.readouterr()
    assert written.out.split() == ["-", "5", "bytes", "a"]
    assert "models/, listed with the downloader key: after 1 keys the store's listing is cut off" in written.err


@pytest.mark.portable
def test_object_whose_digest_is_refused_is_named_and_the_others_are_listed(moto_url, moto_bucket, stored, capsys):
    stored(a=b"1", b=b"2")
    with ScriptedServer(moto_url) as server:
        server.fault("HEAD", answering(403))
        write_config(server.url)
        assert run("ls", moto_bucket, "--digests", "--json") == 1
    written = capsys.readouterr()
    events = [json.loads(line)["event"] for line in written.out.splitlines()]
    assert sorted(events) == ["failed", "object", "summary"]
    assert "the store answered 403" in written.err


@pytest.mark.portable
def test_ls_without_a_downloader_key_is_a_usage_error(moto_url, capsys):
    write_config(moto_url, None, WRITER)
    assert run("ls", "models") == 2
    assert "no downloader_access_key: this machine cannot list" in capsys.readouterr().err


def test_rejected_key_is_named_by_its_role(store, bucket, capsys):
    write_config(store.url, (READER[0], "mistyped"))
    assert run("ls", bucket) == 1
    assert f"{bucket}/, listed with the downloader key: the store answered 403" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(
    "command", [["ls"], ["rm", "--prefix", "p", "--yes"], ["verify", "x", "--prefix", "p"]], ids=" ".join
)
def test_signal_ends_a_command_that_looks_at_objects_like_ctrl_c(config, moto_bucket, capsys, monkeypatch, command):
    Path("x").mkdir()
    name = command[0]
    monkeypatch.setattr(f"cdn_cli.{name}.list_below", lambda *_: signal.raise_signal(signal.SIGTERM))
    at = 2 if name == "verify" else 1
    assert run(*command[:at], moto_bucket, *command[at:]) == 128 + signal.SIGTERM
    assert capsys.readouterr() == ("", "cdn-manager: interrupted\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="a broken pipe is another error on Windows")
def test_reader_that_closes_early_ends_ls_quietly():
    entries = "".join(f"<Contents><Key>{'k' * 1000}{number}</Key></Contents>" for number in range(500))
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"  # more than a pipe holds
    with ScriptedServer() as server:
        server.fault("GET", answering(200, body=body.encode()))
        write_config(server.url)
        pipe = subprocess.PIPE
        with subprocess.Popen([PROGRAM, "ls", "models"], stdout=pipe, stderr=pipe) as process:
            assert process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.portable
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full exists on Linux only")
def test_ls_into_a_full_device_fails_with_one_line(config, moto_bucket, stored):
    stored(a=b"1")
    with open("/dev/full", "w") as full:
        ran = subprocess.run([PROGRAM, "ls", moto_bucket], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ran.returncode, ran.stderr) == (1, "cdn-manager: the output cannot be written: No space left on device\n")
