"""Tests `cdn-manager upload` of files that are stored already."""

import json
from pathlib import Path

import pytest
from command import run, write_config, write_files
from fault_proxy import Proxy
from local_store import READER

PAIRS = pytest.mark.parametrize("reader", [READER, None], ids=["both-pairs", "write-key-alone"])


@pytest.fixture
def link(store):
    """A proxy in front of the real store, which counts requests."""
    with Proxy(store.url) as running:
        yield running


def puts(link):
    """Return the keys that have been sent since the last call."""
    keys = [request.target.rpartition("/")[2] for request in link.requests if request.method in ("PUT", "POST")]
    link.requests.clear()
    return keys


@PAIRS
def test_of_505_files_only_the_one_that_changed_is_sent_again(link, bucket, admin, capsys, reader):
    write_config(link.url, reader)
    write_files("release", **{f"{number}.bin": b"%d weights" % number for number in range(505)})
    assert run("upload", bucket, "release", "--jobs", "16") == 0
    assert sorted(puts(link)) == sorted(f"{number}.bin" for number in range(505))
    assert capsys.readouterr().out.startswith("uploaded 505 files, 5.")
    Path("release/7.bin").write_bytes(b"8 weights")
    assert run("upload", bucket, "release", "--jobs", "16") == 0
    assert puts(link) == ["7.bin"]
    line = capsys.readouterr().out
    assert line.startswith("uploaded 1 of 505 files, 9 bytes in ")
    assert line.endswith(", 504 unchanged\n")
    assert admin.get_object(Bucket=bucket, Key="7.bin")["Body"].read() == b"8 weights"


@PAIRS
def test_what_is_unchanged_is_told_in_every_form_of_output(link, bucket, capsys, reader):
    write_config(link.url, reader)
    write_files("release", **{"a.bin": b"a"})
    assert run("upload", bucket, "release", "--quiet") == 0
    assert run("upload", bucket, "release") == 0
    assert capsys.readouterr().out == "uploaded 0 of 1 file, 1 unchanged\n"
    assert run("upload", bucket, "release", "--verbose") == 0
    assert capsys.readouterr().out.startswith("a.bin: 1 byte, unchanged\n")
    assert run("upload", bucket, "release", "--json") == 0
    done, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert (done["skipped"], done["size"], done["transferred"]) == (True, 1, 0)
    assert (summary["done"], summary["skipped"], summary["transferred"]) == (1, 1, 0)
    assert puts(link) == ["a.bin"]


@PAIRS
def test_force_sends_unchanged_files_too(link, bucket, capsys, reader):
    write_config(link.url, reader)
    write_files("release", **{"a.bin": b"a"})
    for _ in range(2):
        assert run("upload", bucket, "release", "--force") == 0
        assert capsys.readouterr().out.startswith("uploaded 1 file, 1 byte in ")
    assert [request.method for request in link.requests] == ["PUT"] * 2
