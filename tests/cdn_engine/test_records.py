"""Records that outlive the process."""

import hashlib
import json
import os
import stat
import sys
import time

import pytest

from cdn_engine.records import Records, seal, unseal

pytestmark = pytest.mark.portable

AGE = 31 * 86400  # seconds
CONTENT = {"text": "ä\ud800", "number": 1, "list": [1, "2"], "none": None}
posix_only = pytest.mark.skipif(os.name == "nt", reason="needs the permissions of POSIX")


@pytest.fixture
def records():
    return Records("kind")


def test_record_is_what_was_written_last(records):
    record = records.of(["host", "bucket", "key"])
    assert record.read() is None
    for content in (CONTENT, {}):
        assert record.write(content)
        assert records.of(["host", "bucket", "key"]).read() == content
    record.remove()
    record.remove()
    assert record.read() is None


def test_names_are_not_run_together(records):
    paths = {records.of(names, detail).path for names, detail in [
        (["a", "b"], "c"), (["ab"], "c"), (["a"], "bc"), (["a", "b", "c"], ""), (["a", "bc"], ""), (["\ud800"], ""),
    ]}  # fmt: skip
    assert len(paths) == 6


def test_records_about_a_subject_are_found(records):
    for subject, detail in [("one", "a"), ("one", "b"), ("two", "a")]:
        records.of([subject], detail).write({"detail": detail})
    assert sorted(record.read()["detail"] for record in records.about(["one"])) == ["a", "b"]
    assert list(records.about(["three"])) == []


def test_old_records_are_found_and_unfinished_ones_removed(records):
    old, new = records.of(["old"]), records.of(["new"])
    for record in (old, new):
        record.write({})
    unfinished = old.path.with_suffix(".json.0.new")
    unfinished.write_bytes(b"")
    for path in (old.path, unfinished):
        os.utime(path, (time.time() - AGE, time.time() - AGE))
    assert [record.path for record in records.older_than(AGE - 60)] == [old.path]
    assert sorted(path.name for path in records.folder.iterdir()) == sorted([old.path.name, new.path.name])


@posix_only
def test_only_the_user_can_read_it(records):
    record = records.of(["host"])
    record.write(CONTENT)
    assert stat.S_IMODE(record.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in the place of a file is another error there")
def test_directory_that_cannot_be_made_is_logged_and_no_error(records, state_folder, log_lines):
    state_folder.parent.mkdir(parents=True)
    state_folder.write_bytes(b"in the way")
    record = records.of(["host"])
    assert not record.write(CONTENT)
    assert record.read() is None
    assert list(records.older_than(0)) == []
    assert len(log_lines()) == 1
    assert "no record can be kept in" in log_lines()[0]


def test_damaged_record_is_none(records):
    record = records.of(["host"])
    record.write(CONTENT)
    whole = record.path.read_bytes()
    damaged = [whole[:-1], whole + b"x", b"", b"\n", b"\0" * len(whole), whole[:30] + b"z" + whole[31:], whole[65:]]
    for text in damaged:
        record.path.write_bytes(text)
        assert record.read() is None


@pytest.mark.parametrize("body", ["[]", "1", "null", '"text"', "{", "[" * 100_000])
def test_what_is_sealed_and_no_object_is_none(body):
    text = body.encode()
    assert unseal(hashlib.sha256(text).hexdigest().encode() + b"\n" + text) is None
    assert unseal(seal({"a": 1})) == json.loads('{"a": 1}')
