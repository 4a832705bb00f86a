"""Tests `cdn-manager verify` of an installed release."""

import json
import os
import re
from pathlib import Path

import pytest
from command import publish_files, run, write_config


def install(bucket):
    """Install a release, and return its directory. No store can be asked afterwards."""
    publish_files(bucket, "v1", a=b"weights", b=b"1", c=b"2", d=b"3")
    assert run("install", bucket, "v1", "--into", "place", "--quiet") == 0
    Path("cdn.yaml").unlink()
    return Path("place", "v1")


def test_installed_release_is_whole(store, bucket, capsys):
    write_config(store.url)
    install(bucket)
    for path in ("place/v1", "place/current"):
        assert run("verify", path) == 0
        line = capsys.readouterr().out
        assert re.fullmatch(r"verified v1: 4 files, 10 bytes in [^,]+, whole; sha256 [0-9a-f]{64}\n", line)
        identity = line.split()[-1]
    assert run("verify", "place/v1", "--sha256", identity) == 0
    assert run("verify", "place/v1", "--sha256", "0" * 64) == 1


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="Windows has neither such names nor permissions")
def test_everything_that_is_not_as_it_was_is_named(config, moto_bucket, capsys):
    release = install(moto_bucket)
    (release / "a").write_bytes(b"changed")
    (release / "b").unlink()
    (release / "extra\x1b").write_bytes(b"x")
    (release / "c").chmod(0o600)
    assert run("verify", str(release)) == 1
    written = capsys.readouterr()
    *lines, last = written.out.splitlines()
    assert sorted(lines) == sorted([
        f"{str(release / 'a')!r} differs from what was published",
        f"{str(release / 'b')!r} is missing",
        f"{str(release / 'extra') + chr(27)!r} does not belong to the release",
        f"{str(release / 'c')!r} has other permissions than were published",
    ])  # fmt: skip
    assert ", 4 problems; sha256 " in last
    assert run("verify", str(release), "--json") == 1
    *events, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert {(event["event"], Path(event["path"]).name, event["what"]) for event in events} == {
        ("problem", "a", "differs"), ("problem", "b", "missing"), ("problem", "extra\x1b", "extra"),
        ("problem", "c", "mode"),
    }  # fmt: skip
    assert summary.items() >= {"event": "summary", "name": "v1", "files": 4, "problems": 4, "whole": False}.items()
    assert run("verify", str(release), "--quiet") == 1
    written = capsys.readouterr()
    assert (written.out, len(written.err.splitlines())) == ("", 4)


@pytest.mark.portable
def test_options_of_a_comparison_with_a_bucket_are_refused(config, moto_bucket, capsys):
    release = install(moto_bucket)
    for options in (["--prefix", "v2"], ["--key", "a"], ["--include", "a"], ["--exclude", "a"], ["--hidden"]):
        assert run("verify", str(release), *options) == 2
        assert "are for a comparison with a BUCKET" in capsys.readouterr().err


@pytest.mark.portable
def test_directory_with_releases_is_none_and_the_link_in_it_is_named(config, moto_bucket, capsys):
    release = install(moto_bucket)
    assert run("verify", str(release.parent)) == 2
    assert repr(str(release.parent / "current")) in capsys.readouterr().err


@pytest.mark.portable
def test_directory_that_is_no_release_asks_for_a_bucket(capsys):
    Path("folder").mkdir()
    assert run("verify", "folder") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "BUCKET" in line
