"""Tests `cdn-manager rollback`."""

import json
from pathlib import Path

import pytest
from command import publish_files, run, write_config


def install(bucket):
    """Publish and install two releases, and leave nothing behind with which a store could be asked."""
    for name in ("v1", "v2"):
        publish_files(bucket, name, a=name.encode(), **{f"only-{name}": b"1"})
        assert run("install", bucket, name, "--into", "place", "--quiet") == 0
    Path("cdn.yaml").unlink()


def test_rollback_goes_back_to_what_was_current(store, bucket, capsys):
    write_config(store.url)
    install(bucket)
    assert run("rollback", "place") == 0
    assert capsys.readouterr().out == (
        "current is now v1, was v2: 1 file changed, 1 file added, 1 file removed\n"
    )
    assert Path("place", "current", "a").read_bytes() == b"v1"
    assert run("rollback", "place", "v2", "--json") == 0
    place = Path("place").resolve()
    assert json.loads(capsys.readouterr().out) == {
        "event": "current", "old": str(place / "v1"), "new": str(place / "v2"),
        "added": ["only-v2"], "changed": ["a"], "removed": ["only-v1"],
    }  # fmt: skip


@pytest.mark.portable
def test_rollback_to_what_is_not_there_is_a_failure_and_changes_nothing(config, moto_bucket, capsys):
    install(moto_bucket)
    assert run("rollback", "place", "v9") == 1
    assert "v9" in capsys.readouterr().err
    assert run("rollback", "place") == 0
    assert run("rollback", "place") == 1  # nothing was before that
    assert Path("place", "current", "a").read_bytes() == b"v1"


@pytest.mark.portable
def test_rollback_of_a_directory_without_releases_says_so(capsys):
    assert run("rollback", "nothing") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing" in line
    assert not Path("nothing").exists()


@pytest.mark.portable
def test_name_that_leads_elsewhere_is_refused(capsys):
    assert run("rollback", "place", "../v1") == 2
    assert "'../v1' cannot be the name of a release" in capsys.readouterr().err
