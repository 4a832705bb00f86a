"""Tests --log-file: what is kept of a run, and that it can be rotated."""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from command import run, write_config, write_files

from cdn_cli import log_file

LOG = Path("cdn.log")


def events():
    return [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()]


@pytest.mark.portable
def test_log_file_keeps_what_has_ended_of_each_run(config, moto_bucket, capsys):
    write_files("release", a=b"abc")
    assert run("upload", moto_bucket, "release", "--log-file", str(LOG)) == 0
    assert run("download", moto_bucket, "a", "nothing", "--log-file", str(LOG), "--quiet") == 1
    told = events()
    assert [event["status"] for event in told if event["event"] == "ended"] == [0, 1]
    uploaded, first, *ended, second = [event for event in told if event["event"] != "ended"]
    assert (uploaded["event"], uploaded["key"], uploaded["command"], uploaded["pid"]) == (
        "done", "a", "upload", os.getpid(),
    )  # fmt: skip
    assert (first["event"], first["done"], first["transferred"]) == ("summary", 1, 3)
    assert {(event["event"], event["key"]) for event in ended} == {("done", "a"), ("failed", "nothing")}
    assert (second["event"], second["command"], second["failed"]) == ("summary", "download", 1)
    written = capsys.readouterr()
    assert written.out.startswith("uploaded 1 file")
    assert "event" not in written.out + written.err


@pytest.mark.portable
def test_times_in_the_log_file_are_utc(config, moto_bucket, stored, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    stored(a=b"abc")
    assert run("download", moto_bucket, "a", "--log-file", str(LOG)) == 0
    time = datetime.fromisoformat(events()[0]["time"])
    assert time.utcoffset() == timedelta(0)
    assert abs(time.timestamp() - LOG.stat().st_mtime) < 600
    assert events()[0]["time"].endswith("Z")


@pytest.mark.portable
def test_lines_of_the_library_are_in_the_log_file_also_with_quiet(moto_url, moto_bucket, stored):
    stored(a=b"abc")
    write_config(moto_url.replace("127.0.0.1", "localhost"))
    with log_file.logging_to(str(LOG), "download"):
        assert run("download", moto_bucket, "a", "--quiet") == 0
        from cdn_engine.log import log, logerror

        log("waiting\n")
        logerror("gone")
    said = [(event["level"], event["text"]) for event in events() if event["event"] == "log"]
    assert said == [("info", r"waiting\n"), ("error", "gone")]


@pytest.mark.portable
def test_log_file_that_cannot_be_written_ends_the_command_before_anything_is_moved(config, moto_bucket, stored, capsys):
    stored(a=b"abc")
    assert run("download", moto_bucket, "a", "--log-file", "no/such/directory.log") == 2
    assert capsys.readouterr().err == (
        "cdn-manager: the log file 'no/such/directory.log' cannot be written: No such file or directory\n"
    )
    assert not Path(moto_bucket).exists()


@pytest.mark.portable
def test_reason_why_nothing_was_begun_is_in_the_log_file(capsys):
    assert run("download", "models", "a", "--log-file", str(LOG), "--config", "none.yaml") == 2
    error, ended = events()
    assert error["reason"].startswith("no file 'none.yaml'")
    assert (ended["event"], ended["status"]) == ("ended", 2)


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes, and files that can be renamed while they are open")
def test_new_log_file_is_private_and_an_old_one_keeps_its_mode(config, moto_bucket, stored):
    stored(a=b"abc")
    assert run("download", moto_bucket, "a", "--log-file", str(LOG)) == 0
    assert LOG.stat().st_mode & 0o777 == 0o600
    LOG.chmod(0o640)
    assert run("download", moto_bucket, "a", "--log-file", str(LOG)) == 0
    assert LOG.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name != "posix", reason="files that can be renamed while they are open")
def test_log_file_that_logrotate_has_renamed_is_made_anew():
    with log_file.logging_to(str(LOG), "upload"):
        log_file.record({"event": "first"})
        LOG.rename("cdn.log.1")
        log_file.record({"event": "second"})
    assert [event["event"] for event in events()] == ["second"]
    assert LOG.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
def test_disk_that_is_full_of_logs_is_said_once_and_ends_no_transfer(config, moto_bucket, stored, capsys):
    stored(a=b"abc", b=b"abc")
    assert run("download", moto_bucket, "a", "b", "--log-file", "/dev/full") == 0
    assert capsys.readouterr().err == "cdn-manager: the log file cannot be written: No space left on device\n"


@pytest.mark.portable
def test_what_other_commands_have_done_is_in_the_log_file_and_a_listing_is_not(config, moto_bucket, stored):
    stored(a=b"abc")
    assert run("ls", moto_bucket, "--log-file", str(LOG)) == 0
    assert run("rm", moto_bucket, "a", "nothing", "--log-file", str(LOG)) == 1
    assert [event["event"] for event in events() if event["command"] == "ls"] == ["summary", "ended"]
    done = [(event["event"], event.get("key")) for event in events() if event["command"] == "rm"]
    assert sorted(done[:2]) == [("failed", "nothing"), ("removed", "a")]
    assert done[2:] == [("summary", None), ("ended", None)]


def test_log_file_of_a_transfer_through_the_real_store(store, bucket):
    write_config(store.url)
    write_files("release", a=b"abc")
    assert run("upload", bucket, "release", "--log-file", str(LOG)) == 0
    assert run("download", bucket, "a", "--log-file", str(LOG)) == 0
    assert [event["event"] for event in events()] == ["done", "summary", "ended"] * 2
