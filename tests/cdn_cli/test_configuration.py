"""Tests what the command takes from the configuration, and what its options change in it: limits and timeouts."""

import re
import socket
import time
from pathlib import Path

import pytest
from command import run, write_config, write_files
from local_store import READER, WRITER

from cdn_manager import limit_rate


@pytest.fixture(autouse=True)
def no_limit_afterwards():
    yield
    limit_rate(None)


@pytest.fixture
def environment(monkeypatch):
    """A function that puts a store and both key pairs into the environment."""

    def put(url, reader=READER, writer=WRITER):
        monkeypatch.setenv("CDN_HOST", url)
        for role, pair in (("DOWNLOADER", reader), ("UPLOADER", writer)):
            monkeypatch.setenv(f"CDN_{role}_ACCESS_KEY", pair[0])
            monkeypatch.setenv(f"CDN_{role}_ACCESS_SECRET", pair[1])

    return put


@pytest.fixture
def silent():
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_container_without_a_file_moves_objects_by_its_environment(store, bucket, environment, capsys):
    environment(store.url)
    write_files("release", model=b"content")
    assert run("upload", bucket, "release") == 0
    assert run("download", bucket, "model", "--into", "out") == 0
    assert Path("out/model").read_bytes() == b"content"
    assert run("check", bucket) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^ok +configuration +environment, CDN_HOST: {store.url}, with keys", shown, re.MULTILINE)


def test_every_limit_may_be_given_to_every_command(store, bucket, capsys):
    write_config(store.url)
    limits = ("--limit-rate", "400K", "--deadline", "1h", "--connect-timeout", "5s", "--read-timeout", "2.5m")
    write_files("release", model=bytes(200_000))
    began = time.monotonic()
    assert run("upload", bucket, "release", *limits) == 0
    assert run("download", bucket, "model", *limits) == 0
    assert time.monotonic() - began > 0.7
    assert run("check", bucket, *limits) == 0


def test_option_comes_before_the_setting_in_the_file(config, moto_bucket, stored, capsys):
    stored(model=bytes(100_000))
    with open("cdn.yaml", "a") as file:
        file.write("\ndeadline: 0.3s\nlimit_rate: 1K\n")
    assert run("download", moto_bucket, "model") == 1
    assert "the deadline passed" in capsys.readouterr().err
    assert run("download", moto_bucket, "model", "--limit-rate", "1G", "--deadline", "100s") == 0


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--limit-rate", "2", "must be bytes a second, at least 1K, such as 500K, 2M or 2000000"),
        ("--limit-rate", "2MB", "must be bytes a second, at least 1K, such as 500K, 2M or 2000000"),
        ("--deadline", "0", "must be a time between 0 and a year, such as 30, 30s, 10m or 1h"),
        ("--connect-timeout", "-5", "must be a time between 0 and a year, such as 30, 30s, 10m or 1h"),
        ("--connect-timeout", "9999999h", "must be a time between 0 and a year, such as 30, 30s, 10m or 1h"),
        ("--read-timeout", "soon", "must be a time between 0 and a year, such as 30, 30s, 10m or 1h"),
    ],
)
def test_value_that_is_no_limit_exits_with_status_2_and_one_line(config, capsys, option, value, sentence):
    assert run("download", "models", "key", f"{option}={value}") == 2
    assert capsys.readouterr().err == f"cdn-manager: {option} {sentence}\n"


def test_read_timeout_is_how_long_the_command_waits_for_an_answer(silent, capsys):
    write_config(silent)
    began = time.monotonic()
    assert run("download", "models", "key", "--read-timeout", "0.1", "--deadline", "1") == 1
    assert "no answer from" in capsys.readouterr().err
    assert time.monotonic() - began < 10


def test_check_keeps_the_timeouts_too(silent, capsys):
    write_config(silent)
    began = time.monotonic()
    assert run("check", "--read-timeout", "0.2", "--connect-timeout", "0.3") == 1
    assert re.search("^failed +answers +no HTTP: .*timed out", capsys.readouterr().out, re.MULTILINE)
    assert time.monotonic() - began < 5


def test_keys_in_the_environment_without_a_host_are_an_error_in_one_line(config, monkeypatch, capsys):
    monkeypatch.setenv("CDN_DOWNLOADER_ACCESS_KEY", READER[0])
    assert run("download", "models", "key") == 2
    assert capsys.readouterr().err == (
        "cdn-manager: environment: CDN_DOWNLOADER_ACCESS_KEY is set, but CDN_HOST is not: set it too, or unset it to "
        "use a file\n"
    )
