"""Tests `cdn-manager download`."""

import json
import os
import re
import socket
from pathlib import Path

import pytest
from command import run, write_config, write_files


@pytest.mark.portable
def test_objects_are_downloaded_into_a_folder_named_after_the_bucket(config, moto_bucket, stored):
    stored(**{"a.bin": b"a", "deep/b.bin": b"b"})
    assert run("download", moto_bucket, "deep/b.bin", "a.bin") == 0
    assert Path(moto_bucket, "deep", "b.bin").read_bytes() == b"b"


@pytest.mark.portable
def test_all_objects_below_a_prefix_are_downloaded_into_the_given_directory(config, moto_bucket, stored, tmp_path):
    stored(**{"v2/a.bin": b"a", "v2/deep/b.bin": b"b", "v2/": b"", "v2": b"no", "v20/c.bin": b"no"})
    assert run("download", moto_bucket, "--prefix", "v2", "--into", str(tmp_path / "new" / "place")) == 0
    found = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "new").rglob("*.bin"))
    assert found == ["new/place/v2/a.bin", "new/place/v2/deep/b.bin"]


@pytest.mark.portable
def test_prefix_without_objects_fails(config, moto_bucket, stored, capsys):
    assert run("download", moto_bucket, "--prefix", "v3") == 1
    assert "no object below 'v3/'" in capsys.readouterr().err


@pytest.mark.portable
def test_folder_given_as_a_key_is_rejected_with_a_hint_to_use_prefix(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "v2/") == 2
    assert "--prefix v2/ gets everything below it" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.parametrize("into", [[], ["--into", "place"]], ids=["bucket", "into"])
def test_key_that_leads_elsewhere_is_refused_and_the_others_are_downloaded(config, moto_bucket, stored, capsys, into):
    stored(**{"p/../../escaped": b"x", "p/a.bin": b"a"})
    assert run("download", moto_bucket, "--prefix", "p", *into) == 1
    assert (Path(into[-1] if into else moto_bucket) / "p" / "a.bin").read_bytes() == b"a"
    assert not list(Path("..").rglob("escaped"))
    assert "the key cannot be a path below" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="POSIX links")
def test_link_that_leads_out_of_the_given_directory_is_refused(config, moto_bucket, stored, tmp_path, capsys):
    stored(**{"link/a.bin": b"a"})
    Path("place").mkdir()
    Path("place/link").symlink_to(tmp_path)
    assert run("download", moto_bucket, "link/a.bin", "--into", "place") == 1
    assert not (tmp_path / "a.bin").exists()
    assert "a link on the way points to" in capsys.readouterr().err


@pytest.mark.portable
def test_object_with_a_wrong_digest_is_not_installed(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"a"})
    assert run("download", moto_bucket, "a.bin", "--sha256", "0" * 64) == 1
    assert not Path(moto_bucket, "a.bin").exists()
    assert "SHA-256" in capsys.readouterr().err


@pytest.mark.portable
def test_failed_key_does_not_stop_the_others_and_is_reported_after_the_summary(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"a", "b.bin": b"b"})
    assert run("download", moto_bucket, "a.bin", "nothing", "b.bin", "--jobs", "1") == 1
    written = capsys.readouterr()
    assert written.out.startswith("downloaded 2 of 3 files, 2 bytes in ")
    assert re.fullmatch(rf"cdn-manager: {moto_bucket}/nothing: the store answered 404 .+\n", written.err)


@pytest.mark.portable
def test_second_download_transfers_nothing_and_says_so(config, moto_bucket, capsys):
    write_files(".", **{"a.bin": b"a"})
    run("upload", moto_bucket, "a.bin")
    run("download", moto_bucket, "a.bin")
    capsys.readouterr()
    assert run("download", moto_bucket, "a.bin") == 0
    assert "(nothing had to be transferred)" in capsys.readouterr().out


@pytest.mark.portable
def test_largest_objects_are_downloaded_first(config, moto_bucket, stored, capsys):
    stored(**{"p/small": b"1", "p/large": b"1" * 3000, "p/middle": b"1" * 2000})
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1", "--verbose") == 0
    order = re.findall(r"^p/(\w+): ", capsys.readouterr().out, re.MULTILINE)
    assert order == ["large", "middle", "small"]


@pytest.mark.portable
@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["text", "json"])
def test_files_not_tried_on_an_unreachable_store_are_counted_in_one_line(moto_bucket, capsys, monkeypatch, json_too):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        write_config(f"http://127.0.0.1:{unused.getsockname()[1]}")
        keys = [str(number) for number in range(1000)]
        assert run("download", moto_bucket, *keys, "--jobs", "1", *json_too) == 1
    written = capsys.readouterr()
    pattern = r"^cdn-manager: no connection to the store: (\d+) of 1000 files were not tried$"
    (left,) = re.findall(pattern, written.err, re.MULTILINE)
    assert 1 <= int(left) < 1000
    if json_too:
        summary = json.loads(written.out.splitlines()[-1])
        assert summary["not_tried"] == int(left)
        assert summary["done"] + summary["failed"] + summary["not_tried"] == 1000
