"""Tests `cdn-manager releases`."""

import json
import os
import re
from pathlib import Path

import pytest
from command import publish_files, run, write_config
from local_store import READER, WRITER


def test_releases_are_listed_with_what_one_pins(store, bucket, capsys):
    write_config(store.url)
    publish_files(bucket, "v1", a=b"1")
    publish_files(bucket, "v2", a=b"2", b=b"3" * 1500)
    write_config(store.url, READER, None)
    assert run("releases", bucket) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ       1 file     1 byte  [0-9a-f]{64}  v1", first)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ      2 files     1\.5 kB  [0-9a-f]{64}  v2", second)
    assert last == "2 releases"
    assert run("releases", bucket, "--json", "--log-file", "log") == 0
    one, two, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert one["sha256"] == first.split()[-2]
    assert two.items() >= {"event": "release", "bucket": bucket, "name": "v2", "files": 2, "size": 1501}.items()
    assert summary == {"event": "summary", "releases": 2}
    kept = [json.loads(line)["event"] for line in Path("log").read_text().splitlines()]
    assert kept == ["summary", "ended"]  # what was only listed has not happened


@pytest.mark.portable
def test_only_those_below_the_prefix_are_listed(config, moto_bucket, capsys):
    publish_files(moto_bucket, "v1", a=b"1")
    assert run("publish", moto_bucket, "v1", "v3", "--prefix", "llama", "--quiet") == 0
    assert run("releases", moto_bucket, "--prefix", "llama/") == 0
    line, last = capsys.readouterr().out.splitlines()
    assert (line.split()[-1], last) == ("v3", "1 release")


@pytest.mark.portable
def test_manifest_that_cannot_be_read_is_a_failure_after_the_others(config, moto_bucket, stored, capsys):
    publish_files(moto_bucket, "v2", a=b"1")
    stored(**{"releases/v1.json": b"\x1b[31m{}"})
    assert run("releases", moto_bucket) == 1
    written = capsys.readouterr()
    (line,) = written.out.splitlines()
    assert line.endswith("  v2")
    assert "releases/v1.json" in written.err
    assert "\x1b" not in written.err


def test_output_that_ends_is_not_blamed_on_the_listing(config, moto_bucket, monkeypatch, capsys):
    publish_files(moto_bucket, "v2", a=b"1")
    capsys.readouterr()

    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed:
        monkeypatch.setattr("sys.stdout", closed)
        run("releases", moto_bucket)
    assert capsys.readouterr().err == ""


@pytest.mark.portable
def test_listing_without_downloader_key_names_it(moto_url, capsys):
    write_config(moto_url, None, WRITER)
    assert run("releases", "models") == 2
    assert "no downloader_access_key: this machine cannot list" in capsys.readouterr().err
