"""Tests which files and objects `--include`, `--exclude` and `--hidden` take."""

import os
from pathlib import Path

import pytest
from command import run, write_config, write_files

from cdn_cli.selection import Selection

TREE = {
    "a.bin": b"1", "b.log": b"1", "deep__c.bin": b"1", "deep__d.log": b"1", "build__e.bin": b"1",
    "deep__build__f.bin": b"1",
}  # fmt: skip


@pytest.mark.portable
@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ([], [], "a.bin b.log build/e.bin deep/build/f.bin deep/c.bin deep/d.log"),
        (["*.bin"], [], "a.bin build/e.bin deep/build/f.bin deep/c.bin"),
        (["*.bin"], ["build/"], "a.bin deep/c.bin"),
        (["*.bin", "*.log"], ["/build/"], "a.bin b.log deep/build/f.bin deep/c.bin deep/d.log"),
        (["deep/"], ["*.log"], "deep/build/f.bin deep/c.bin"),
        ([], ["*", "!*.log", "!*/"], "b.log deep/d.log"),
        ([], ["build/", "!build/e.bin"], "a.bin b.log build/e.bin deep/c.bin deep/d.log"),
        (["/a.bin"], [], "a.bin"),
        (["nothing"], [], ""),
    ],
    ids=str,
)
def test_patterns_are_those_of_gitignore_and_mean_the_same_for_files_and_objects(
    config, moto_bucket, stored, include, exclude, taken
):
    write_files("release", **TREE)
    options = [f"--include={pattern}" for pattern in include] + [f"--exclude={pattern}" for pattern in exclude]
    assert run("upload", moto_bucket, "release", "--quiet", *options) == (0 if taken else 2)
    assert stored() == taken.split()
    stored(**{f"p/{name.replace('__', '/')}": content for name, content in TREE.items()})
    assert run("download", moto_bucket, "--prefix", "p", "--into", "out", "--quiet", *options) == (0 if taken else 1)
    found = sorted(path.relative_to("out/p").as_posix() for path in Path("out").rglob("*") if path.is_file())
    assert found == taken.split()


def test_real_store_gets_and_gives_what_is_meant(store, bucket, admin):
    write_config(store.url)
    write_files("release", **TREE, **{".git__config": b"1"})
    assert run("upload", bucket, "release", "--exclude", "build/", "--hidden", "--include", "*.bin",
               "--include", ".git/") == 0  # fmt: skip
    keys = [entry["Key"] for entry in admin.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [".git/config", "a.bin", "deep/c.bin"]
    assert run("download", bucket, "--prefix", "", "--exclude", "*.bin") == 0
    assert [path for path in Path(bucket).rglob("*") if path.is_file()] == [Path(bucket, ".git", "config")]


@pytest.mark.portable
def test_hidden_files_and_directories_are_left_out_and_that_is_said(config, moto_bucket, stored, capsys):
    write_files("release", **{"a": b"1", ".env": b"1", ".git__config": b"1", ".git__x": b"1", "deep__.b": b"1"})
    assert run("upload", moto_bucket, "release") == 0
    assert stored() == ["a"]
    first = os.path.join("release", ".git")
    assert capsys.readouterr().err == f"cdn-manager: hidden, and left out without --hidden: {first!r} and 2 more\n"
    assert run("upload", moto_bucket, "release", "--quiet", "--force") == 0
    assert capsys.readouterr().err == ""
    assert run("upload", moto_bucket, "release", "--hidden") == 0
    assert stored() == [".env", ".git/config", ".git/x", "a", "deep/.b"]
    assert capsys.readouterr().err == ""


@pytest.mark.portable
def test_hidden_file_or_directory_given_by_name_is_taken(config, moto_bucket, stored):
    write_files(".", **{".env": b"1", ".config__a": b"1"})
    assert run("upload", moto_bucket, ".env", ".config", "--exclude", ".env") == 0
    assert stored() == [".env", "a"]


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may read every directory")
def test_directory_that_is_left_out_is_not_looked_into(config, moto_bucket, stored):
    write_files("release", a=b"1", build__b=b"1")
    Path("release/build").chmod(0)
    try:
        assert run("upload", moto_bucket, "release", "--exclude", "build/") == 0
    finally:
        Path("release/build").chmod(0o700)
    assert stored() == ["a"]


@pytest.mark.portable
def test_directories_that_are_left_out_are_not_walked(config, moto_bucket, monkeypatch):
    write_files("release", a=b"1", build__deep__b=b"1", **{".git__deep__c": b"1"})
    walked, scandir = [], os.scandir

    def scan(path):
        walked.append(os.path.basename(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", scan)
    assert run("upload", moto_bucket, "release", "--exclude", "build/", "--dry-run") == 0
    assert set(walked) & {"release", "build", ".git", "deep"} == {"release"}


@pytest.mark.portable
def test_problems_of_what_is_left_out_are_none(config, moto_bucket, stored):
    write_files("release", a=b"1", con=b"1")
    assert run("upload", moto_bucket, "release") == 2
    assert run("upload", moto_bucket, "release", "--exclude", "con") == 0
    assert stored() == ["a"]


@pytest.mark.portable
@pytest.mark.parametrize("option", ["--include", "--exclude"])
def test_pattern_that_is_none_is_a_usage_error(config, moto_bucket, capsys, option):
    write_files("release", a=b"1")
    assert run("upload", moto_bucket, "release", option, "!") == 2
    assert option in capsys.readouterr().err


@pytest.mark.portable
def test_prefix_of_which_nothing_is_meant_says_so(config, moto_bucket, stored, capsys):
    stored(**{"p/a": b"1"})
    assert run("download", moto_bucket, "--prefix", "p", "--include", "b") == 1
    assert "no object below 'p/'" in capsys.readouterr().err


@pytest.mark.portable
def test_patterns_are_not_imported_unless_they_are_given(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pathspec", None)  # an import of it fails
    assert Selection(hidden=False).takes("a/b")
    with pytest.raises(ImportError):
        Selection(exclude=["a"])


@pytest.mark.portable
def test_directory_is_looked_into_if_something_in_it_may_be_taken_back():
    selection = Selection(exclude=["a/"])
    assert (selection.enters("a"), selection.enters("a/b"), selection.enters("b")) == (False, False, True)
    assert Selection(exclude=["a/", "!a/b"]).enters("a")
