"""Tests `cdn-manager unpublish`."""

import json
import os
import signal

import pytest
from command import publish_files, run, write_config
from local_store import READER
from terminal import Terminal

from cdn_release.repository import Repository


@pytest.fixture
def published(store, bucket):
    """Two releases at the real store that share a file."""
    write_config(store.url)
    publish_files(bucket, "v1", shared=b"1", own=b"22")
    publish_files(bucket, "v2", shared=b"1", own=b"333")


def test_release_is_removed_and_with_collect_what_none_needs(published, bucket, keys_at_store, capsys):
    assert run("unpublish", bucket, "v1") == 2
    assert "there is no terminal: give --yes" in capsys.readouterr().err
    assert run("unpublish", bucket, "v1", "--yes") == 0
    assert capsys.readouterr().out == "unpublished v1\n"
    assert len(keys_at_store()) == 4
    assert run("unpublish", bucket, "v1", "--yes", "--collect", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "event": "unpublished", "bucket": bucket, "name": "v1", "found": False, "removed": 1, "size": 2,
    }  # fmt: skip
    assert len(keys_at_store()) == 3
    assert run("install", bucket, "v2", "--into", "place", "--quiet") == 0
    assert run("unpublish", bucket, "v2", "--yes", "--collect") == 0
    assert capsys.readouterr().out == "unpublished v2; removed 2 objects, 4 bytes, that no release needs\n"
    assert keys_at_store() == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX pseudo-terminals")
@pytest.mark.parametrize(("answer", "left"), [(b"y\n", 3), (b"\n", 5)], ids=["yes", "default"])
def test_unpublish_asks_on_a_terminal(published, bucket, keys_at_store, answer, left):
    command = Terminal("unpublish", bucket, "v1", "--collect")
    command.read_until(rf"remove release 'v1' from '{bucket}'\? nobody can install it then \[y/N\] ")
    os.write(command.end, answer)
    assert command.wait() == (0 if left == 3 else 1)
    assert len(keys_at_store()) == left
    assert ("nothing was removed" in command.screen) == (left == 5)


@pytest.mark.portable
def test_release_that_is_not_there_is_a_failure_without_collect(config, moto_bucket, capsys):
    assert run("unpublish", moto_bucket, "v9", "--yes") == 1
    assert "v9" in capsys.readouterr().err


@pytest.mark.portable
def test_nothing_is_removed_while_somebody_may_be_publishing(config, moto_bucket, stored, capsys):
    publish_files(moto_bucket, "v1", a=b"1")
    before = stored(**{"publishing/v2": b""})
    assert run("unpublish", moto_bucket, "v1", "--yes", "--collect") == 1
    assert stored() == before
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cdn-manager: {moto_bucket}/v1: ")
    assert "publishing/v2" in line


@pytest.mark.portable
def test_ctrl_c_leaves_the_rest_to_the_next_run(config, moto_bucket, stored, capsys, monkeypatch):
    publish_files(moto_bucket, "v1", a=b"1")
    remove = Repository.remove

    def press_ctrl_c(repository, key):
        remove(repository, key)
        if key.endswith(".json"):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "remove", press_ctrl_c)
        assert run("unpublish", moto_bucket, "v1", "--yes", "--collect") == 130
    assert "releases/v1.json" not in stored() != []
    first, second = capsys.readouterr().err.splitlines()
    assert first == "cdn-manager: part of it may be removed: run the command again to remove the rest"
    assert second == "cdn-manager: interrupted"
    assert run("unpublish", moto_bucket, "v1", "--yes", "--collect") == 0
    assert stored() == []


@pytest.mark.portable
def test_unpublish_without_uploader_key_names_it(moto_url, capsys):
    write_config(moto_url, READER, None)
    assert run("unpublish", "models", "v1", "--yes") == 2
    assert "no uploader_access_key: this machine cannot remove anything" in capsys.readouterr().err
