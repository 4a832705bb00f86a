"""Tests `cdn-manager presign` and `cdn-manager download --url`, an edge machine without any key."""

import io
import json
import time
from pathlib import Path

import pytest
from command import run, write_config
from local_store import READER, WRITER
from objects import payload_of, put
from scripted_server import ScriptedServer, stalling

from cdn_manager import CDNCredentials, CDNManager

portable = pytest.mark.portable


@pytest.fixture
def presigned(store, admin, bucket, capsys):
    """A function that stores an object in the real store, and returns a URL that the command has made for it."""

    def url_of(key, content=b"weights", *options):
        put(admin, bucket, key, content)
        write_config(store.url, writer=None)
        assert run("presign", bucket, key, *options) == 0
        Path("cdn.yaml").unlink()
        return capsys.readouterr().out.strip()

    return url_of


def test_object_is_downloaded_by_url_and_without_any_key(presigned, bucket, capsys):
    url = presigned("deep/model.bin", payload_of(9 << 20))
    assert run("download", "--url", url) == 0
    assert Path("model.bin").read_bytes() == payload_of(9 << 20)
    assert capsys.readouterr().out.startswith("downloaded 1 file, 9.4 MB in ")
    assert run("download", "--url", presigned("deep/model.bin", payload_of(9 << 20), "--expires", "7d")) == 0
    assert capsys.readouterr().out == "downloaded 0 of 1 file, 1 unchanged\n"


def test_url_is_read_from_standard_input_where_nobody_sees_it(presigned, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{presigned('a b/ü.bin')}\n"))
    assert run("download", "--url", "-", "--into", "place") == 0
    assert Path("place/ü.bin").read_bytes() == b"weights"


def test_file_is_named_and_its_digest_is_pinned(presigned, capsys):
    url = presigned("model.bin")
    assert run("download", "--url", url, "--output", "place/other.bin", "--sha256", "0" * 64) == 1
    assert "SHA-256" in capsys.readouterr().err
    assert run("download", "--url", url, "--output", "place/other.bin") == 0
    assert Path("place/other.bin").read_bytes() == b"weights"


def test_expired_url_is_a_failure_that_says_what_to_do(presigned, capsys):
    url = presigned("model.bin", b"weights", "--expires", "1s")
    while run("download", "--url", url, "--json") == 0:  # until the store's clock has passed it
        Path("model.bin").unlink()
        capsys.readouterr()
    written = capsys.readouterr()
    failed = json.loads(written.out.splitlines()[0])
    assert (failed["event"], failed["key"].rpartition("/")[2], failed["error"]) == (
        "failed", "model.bin", "URLRefusedError",
    )  # fmt: skip
    assert "the URL has expired" in failed["reason"]
    assert "Signature" not in written.out + written.err


def test_url_of_a_session_warns_of_its_end(moto_url, capsys, monkeypatch):
    credentials = CDNCredentials(moto_url, *READER, downloader_session_token="token")
    monkeypatch.setattr("cdn_cli.presign.open_manager", lambda _: CDNManager(credentials))
    assert run("presign", "models", "a.bin", "--json") == 0
    written = capsys.readouterr()
    event = json.loads(written.out)
    assert (event["event"], event["bucket"], event["key"]) == ("url", "models", "a.bin")
    assert 3500 < event["expires"] - time.time() <= 3600
    assert "X-Amz-Security-Token=token" in event["url"]
    assert "the keys are short-lived" in written.err


@portable
def test_without_a_key_there_is_nothing_to_sign_with(moto_url, capsys):
    write_config(moto_url, reader=None, writer=WRITER)
    assert run("presign", "models", "a.bin") == 2
    assert "no downloader_access_key" in capsys.readouterr().err


@portable
@pytest.mark.parametrize("expires", ["0", "1", "0.5s", "8d", "1w", "-1h", "", "604801s"])
def test_time_that_cannot_be_is_rejected(config, capsys, expires):
    assert run("presign", "models", "a.bin", f"--expires={expires}") == 2
    assert "--expires" in capsys.readouterr().err


@portable
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["models"], "give neither BUCKET nor KEY"),
        (["--prefix", "p"], "nor --prefix"),
        (["--output", "file", "--into", "place"], "--output names the file"),
        (["--exclude", "*.md"], "not for a --url"),
        (["--dry-run"], "not for a --url"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_url_and_what_contradicts_it_are_rejected(capsys, arguments, said):
    assert run("download", "--url", "https://host/models/key?a-secret", *arguments) == 2
    written = capsys.readouterr().err
    assert said in written
    assert "a-secret" not in written


@portable
@pytest.mark.parametrize("url", ["key?a-secret", "https://host/?a-secret", "https://host/b/k?X-Amz-SignedHeaders=a-secret"])
def test_url_that_cannot_be_used_is_rejected_without_being_shown(capsys, url):
    assert run("download", "--url", url) == 2
    written = capsys.readouterr().err
    assert "the URL " in written
    assert "a-secret" not in written


@portable
@pytest.mark.parametrize("key", ["..", "a%2F..", ".cdn-x", "con"])
def test_url_whose_key_cannot_be_a_file_is_refused(capsys, key):
    assert run("download", "--url", f"http://127.0.0.1:9/models/{key}?a-secret") == 1
    assert "the key cannot be a path below" in capsys.readouterr().err


@portable
def test_deadline_holds_for_a_url(capsys):
    with ScriptedServer() as server:
        server.fault("GET", stalling())
        assert run("download", "--url", f"{server.url}/models/a.bin?a-secret", "--deadline", "0.5s") == 1
    written = capsys.readouterr().err
    assert "the deadline passed" in written
    assert "a-secret" not in written


@portable
def test_download_without_anything_is_rejected(config, capsys):
    assert run("download") == 2
    assert "needs a BUCKET, or --url" in capsys.readouterr().err
