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
def test_options_between_bucket_and_keys_are_understood(config, moto_bucket, stored):
    stored(**{"a.bin": b"a", "-b.bin": b"b"})
    assert run("--quiet", "download", moto_bucket, "--into", "out", "a.bin", "--jobs", "1", "--", "-b.bin") == 0
    assert sorted(os.listdir("out")) == ["-b.bin", "a.bin"]


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
    written = capsys.readouterr().err
    assert "the key cannot be a path below" in written
    assert "--output FILE" in written
    assert run("download", moto_bucket, "p/../../escaped", "--output", "any") == 0  # as it advises


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
    assert capsys.readouterr().out == "downloaded 0 of 1 file, 1 unchanged\n"


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
    pattern = r"^cdn-manager: no connection to the store: (\d+) of 1000 files not tried$"
    (left,) = re.findall(pattern, written.err, re.MULTILINE)
    assert 1 <= int(left) < 1000
    if json_too:
        summary = json.loads(written.out.splitlines()[-1])
        assert summary["not_tried"] == int(left)
        assert summary["done"] + summary["failed"] + summary["not_tried"] == 1000


# Keys that cannot be files


@pytest.mark.portable
def test_content_under_a_key_that_ends_like_a_directory_fails_and_the_rest_is_downloaded(
    config, moto_bucket, stored, capsys
):
    stored(**{"p/": b"", "p/a.bin": b"a", "p/image/": b"content", "p/image/x": b"x"})
    assert run("download", moto_bucket, "--prefix", "p", "--json") == 1
    written = capsys.readouterr()
    failed, *_, summary = map(json.loads, written.out.splitlines())
    assert (failed["event"], failed["key"], failed["error"]) == ("failed", "p/image/", "UnsafePathError")
    assert (summary["done"], summary["failed"]) == (2, 1)
    assert written.err.startswith(f"cdn-manager: {moto_bucket}/p/image/: it has 7 bytes of content, but ends with '/'")


@pytest.mark.portable
@pytest.mark.parametrize("arguments", [["--prefix", ""], ["a/b/c", "a", "a/x", "a/b"]], ids=["prefix", "keys"])
def test_key_that_is_the_directory_of_another_fails_before_anything_is_downloaded(
    config, moto_bucket, stored, capsys, arguments
):
    stored(**{"a": b"1" * 9000, "a/b": b"1", "a/b/c": b"1", "a/x": b"1"})
    assert run("download", moto_bucket, *arguments, "--jobs", "1", "--json") == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()[:-1]]
    assert [event["key"] for event in events if event["event"] == "done"] in (["a/b/c", "a/x"], ["a/x", "a/b/c"])
    reasons = {event["key"]: event["reason"] for event in events if event["event"] == "failed"}
    assert set(reasons) == {"a", "a/b"}
    assert re.search("'a/(x|b|b/c)'", reasons["a"])
    assert "directory of 'a/b/c'" in reasons["a/b"]
    if "--prefix" in arguments:
        assert [event["event"] for event in events] == ["failed", "failed", "done", "done"]


@pytest.mark.portable
@pytest.mark.parametrize("into", [[], ["--into", "place"]], ids=["bucket", "into"])
def test_file_in_the_place_of_the_folder_is_named(config, moto_bucket, stored, capsys, into):
    stored(**{"a.bin": b"a"})
    Path(into[-1] if into else moto_bucket).touch()
    assert run("download", moto_bucket, "a.bin", *into) == 2
    assert f"'{into[-1] if into else moto_bucket}' is not a directory" in capsys.readouterr().err


@pytest.mark.portable
def test_every_folder_given_as_a_key_is_named(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "v2/", "a.bin", "v3/") == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.portable
def test_listing_that_fails_names_bucket_prefix_and_key_pair(moto_url, config, capsys):
    assert run("download", "no-such-bucket", "--prefix", "v2") == 1
    assert capsys.readouterr().err.startswith(
        "cdn-manager: no-such-bucket/v2/, listed with the downloader key: the store answered 404 NoSuchBucket"
    )


# One object to a file of any name


def test_output_is_the_file_of_the_one_object(store, bucket, admin, tmp_path):
    write_config(store.url)
    admin.put_object(Bucket=bucket, Key="v2/a:b", Body=b"weights")  # a key that could be no file on every system
    for _ in range(2):
        assert run("download", bucket, "v2/a:b", "--output", str(tmp_path / "new" / "a.bin")) == 0
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"weights"
    assert not Path(bucket).exists()


@pytest.mark.portable
@pytest.mark.parametrize(
    "arguments",
    [["a", "b"], ["--prefix", "p"], ["a", "--into", "out"]],
    ids=["two keys", "prefix", "into"],
)
def test_output_is_for_exactly_one_key(config, moto_bucket, capsys, arguments):
    assert run("download", moto_bucket, *arguments, "--output", "file") == 2
    assert "--output is the file of one object" in capsys.readouterr().err


@pytest.mark.portable
def test_directory_as_output_is_refused(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "a", "--output", ".") == 2
    assert "'.' is a directory: add the name of the file" in capsys.readouterr().err


@pytest.mark.portable
def test_patterns_are_not_for_keys(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "a", "--exclude", "b") == 2
    assert "--include and --exclude are about the objects below --prefix" in capsys.readouterr().err
