"""Tests `cdn-manager prune`."""

import json
from pathlib import Path

import pytest
from command import publish_files, run, write_config


def install(bucket, *names):
    """Publish and install releases, and leave nothing behind with which a store could be asked."""
    for name in names:
        publish_files(bucket, name, a=name.encode())
        assert run("install", bucket, name, "--into", "place", "--quiet") == 0
    Path("cdn.yaml").unlink()


def left():
    return sorted(path.name for path in Path("place").iterdir() if not path.name.startswith("."))


def test_old_releases_are_removed_and_the_current_one_never(store, bucket, capsys):
    write_config(store.url)
    install(bucket, "v1", "v2", "v3")
    assert run("prune", "place", "--keep", "2") == 0
    assert capsys.readouterr().out == f"removed {Path('place', 'v1')}\nremoved 1 release\n"
    assert left() == ["current", "v2", "v3"]
    assert run("rollback", "place", "--quiet") == 0
    assert run("prune", "place", "--keep", "1", "--json") == 0
    assert left() == ["current", "v2"]
    pruned, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert pruned == {"event": "pruned", "name": "v3", "path": str(Path("place", "v3"))}
    assert summary == {"event": "summary", "pruned": 1}


@pytest.mark.portable
def test_nothing_to_remove_is_a_success(config, moto_bucket, capsys):
    install(moto_bucket, "v1")
    assert run("prune", "place", "--keep", "1") == 0
    assert capsys.readouterr().out == "removed 0 releases\n"


@pytest.mark.portable
def test_directory_without_releases_is_left_alone(capsys):
    Path("home").mkdir()
    Path("home", "file").write_bytes(b"mine")
    run("prune", "home", "--keep", "1")
    assert [path.name for path in Path("home").iterdir()] == ["file"]
