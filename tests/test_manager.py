"""CDNManager: the original contract, its raising twins, and the line that a failure leaves in the log."""

import logging
import os
import subprocess
import sys

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from local_store import READER, WRITER

import constants
from cdn_errors import CredentialMissingError
from cdn_manager import CDNCredentials, CDNManager

portable = pytest.mark.portable

NO_RETRIES = Config(connect_timeout=1)


@pytest.fixture
def quick_failures(monkeypatch):
    """Give up after the first failed attempt."""
    monkeypatch.setattr("cdn_request._ATTEMPTS", 1)


@portable
def test_an_upload_can_be_downloaded(moto_manager, moto_bucket, folder):
    assert moto_manager.upload_bytes(moto_bucket, "a/model.bin", b"weights") is True
    assert moto_manager.download_file(moto_bucket, "a/model.bin") is True
    assert (folder / moto_bucket / "a" / "model.bin").read_bytes() == b"weights"
    assert os.listdir(folder / moto_bucket / "a") == ["model.bin"]


@portable
def test_the_twins_say_what_happened(moto_manager, moto_bucket, folder):
    stored = moto_manager.store(moto_bucket, "model.bin", b"weights")
    assert (stored.bucket, stored.key, stored.size, stored.transferred) == (moto_bucket, "model.bin", 7, 7)
    fetched = moto_manager.fetch(moto_bucket, "model.bin")
    assert fetched.verified
    assert fetched.sha256 == stored.sha256
    assert fetched.etag == stored.etag
    assert (fetched.size, fetched.transferred, fetched.resumed_from, fetched.version_id) == (7, 7, 0, None)


@portable
def test_fetch_takes_a_path_of_the_callers(moto_manager, moto_bucket, tmp_path):
    moto_manager.store(moto_bucket, "../../odd", b"weights")
    target = tmp_path / "elsewhere" / "model.bin"
    moto_manager.fetch(moto_bucket, "../../odd", path=target)
    assert target.read_bytes() == b"weights"


@portable
@pytest.mark.parametrize(
    ("pair", "works", "missing"),
    [("downloader", "download_file", "uploader_access_key"), ("uploader", "upload_bytes", "downloader_access_key")],
)
def test_a_machine_may_hold_one_pair_only(pair, works, missing, moto_url, moto_manager, moto_bucket, folder, log_lines):
    moto_manager.store(moto_bucket, "key", b"abc")
    with CDNManager(CDNCredentials(moto_url, **{f"{pair}_access_key": "k", f"{pair}_access_secret": "s"})) as manager:
        calls = {
            "download_file": lambda: manager.download_file(moto_bucket, "key"),
            "upload_bytes": lambda: manager.upload_bytes(moto_bucket, "key", b"abc"),
        }
        assert calls.pop(works)() is True
        ((_, refused),) = calls.items()
        assert refused() is False
        assert missing in log_lines()[-1]
        with pytest.raises(CredentialMissingError, match=missing):
            manager.store("b", "k", b"") if missing.startswith("uploader") else manager.fetch("b", "k")


@portable
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes(error, moto_manager, folder):
    def interrupt(*_, **__):
        raise error

    moto_manager.download_client.download_file = interrupt
    moto_manager.upload_client.upload_fileobj = interrupt
    with pytest.raises(error):
        moto_manager.download_file("bucket", "key")
    with pytest.raises(error):
        moto_manager.upload_bytes("bucket", "key", b"abc")


@portable
@pytest.mark.parametrize("arguments", [(None, "key"), ("bucket", None)])
def test_none_is_an_error_and_not_a_crash(arguments, moto_manager, folder, log_lines):
    assert moto_manager.download_file(*arguments) is False
    assert moto_manager.upload_bytes(*arguments, b"abc") is False
    assert len(log_lines()) == 2


@portable
@pytest.mark.parametrize("deadline", [0, -1])
def test_a_deadline_in_the_past_is_refused(deadline):
    with pytest.raises(ValueError, match="deadline must be"):
        CDNManager(CDNCredentials("http://127.0.0.1:9", *READER, *WRITER), deadline=deadline)


@portable
def test_our_log_at_debug_shows_no_secret(moto_url, moto_manager, moto_bucket, folder, caplog):
    caplog.set_level(logging.DEBUG, logger="cdn_manager")
    moto_manager.upload_bytes(moto_bucket, "key", b"abc")
    moto_manager.download_file(moto_bucket, "key")
    moto_manager.download_file(moto_bucket, "nope")
    assert caplog.records
    assert not any(pair[1] in caplog.text for pair in (READER, WRITER))


@portable
def test_a_key_cannot_forge_a_line_of_the_log(moto_manager, moto_bucket, folder, log_lines):
    moto_manager.download_file(moto_bucket, "key\nERROR all is lost")
    assert "\n" not in log_lines()[-1]


@portable
def test_an_unreachable_host_is_named(folder, log_lines, quick_failures):
    with CDNManager(CDNCredentials("http://127.0.0.1:9", *READER, *WRITER), config=NO_RETRIES) as manager:
        assert manager.download_file("bucket", "key") is False
        assert manager.upload_bytes("bucket", "key", b"abc") is False
        for line in log_lines():
            assert "Could not connect" in line
            assert "http://127.0.0.1:9" in line
        with pytest.raises(EndpointConnectionError):
            manager.fetch("bucket", "key")


@portable
def test_a_long_wait_for_the_next_attempt_is_logged(folder, log_lines, monkeypatch):
    monkeypatch.setattr("cdn_request._ATTEMPTS", 2)
    monkeypatch.setattr("cdn_request._WORTH_A_LINE", 0.0)
    with CDNManager(CDNCredentials("http://127.0.0.1:9", *READER, *WRITER)) as manager:
        manager.download_file("bucket", "key")
        manager.upload_bytes("bucket", "key", b"abc")
    waits = [line for line in log_lines() if "the next attempt is in" in line]
    assert len(waits) == 2
    assert all(line.startswith("bucket/key: Could not connect") for line in waits)


@portable
def test_the_log_configures_nothing():
    script = "import logging, constants as c; c.log('quiet'); c.logerror('quiet'); print(logging.root.handlers)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
    assert ran.stderr == ""


@portable
def test_the_log_functions_write_lines_of_their_level(caplog):
    caplog.set_level(logging.INFO, logger="cdn_manager")
    constants.log("100 %s done")
    constants.logerror("lost")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "100 %s done"),
        ("ERROR", "lost"),
    ]


# Against the real store, which refuses


@pytest.fixture
def swapped(store, folder):
    """A manager that reads with the write key and writes with the read key."""
    with CDNManager(CDNCredentials(store.url, *WRITER, *READER)) as made:
        yield made


def test_the_readers_upload_is_refused_with_the_reason(swapped, bucket, log_lines):
    assert swapped.upload_bytes(bucket, "key", b"abc") is False
    (line,) = log_lines()
    assert line.startswith(f"upload to '{bucket}'/'key' with the uploader's key failed: the store answered 403 Access")
    with pytest.raises(ClientError, match="AccessDenied"):
        swapped.store(bucket, "key", b"abc")


def test_the_writers_download_is_refused_with_the_reason(swapped, manager, bucket, log_lines):
    manager.store(bucket, "key", b"abc")
    assert swapped.download_file(bucket, "key") is False
    (line,) = log_lines()
    assert line.startswith(f"download of '{bucket}'/'key' with the downloader's key failed: the store answered 403 A")


@pytest.mark.parametrize(
    ("where", "key", "reason"),
    [(None, "nope", "404 NoSuchKey"), ("no-such-bucket", "key", "NoSuchBucket")],
)
def test_what_is_not_there_is_named(where, key, reason, manager, bucket, folder, log_lines):
    assert manager.download_file(where or bucket, key) is False
    assert reason in log_lines()[-1]
    assert not any(path.is_file() for path in folder.rglob("*"))


def test_a_missing_key_is_botocores_own_exception(manager, bucket):
    with pytest.raises(manager.download_client.exceptions.NoSuchKey):
        manager.fetch(bucket, "nope")


def test_a_wrong_secret_is_named(store, bucket, folder, log_lines):
    with CDNManager(CDNCredentials(store.url, READER[0], "wrong", WRITER[0], "wrong")) as manager:
        assert manager.upload_bytes(bucket, "key", b"abc") is False
        assert manager.download_file(bucket, "key") is False
    for line in log_lines():
        assert "SignatureDoesNotMatch" in line
        assert "the secret does not belong to this access key" in line


def test_a_file_in_the_folders_place_is_named(manager, bucket, folder, log_lines):
    manager.store(bucket, "key", b"abc")
    (folder / bucket).write_text("in the way")
    assert manager.download_file(bucket, "key") is False
    assert bucket in log_lines()[-1]
    assert "File exists" in log_lines()[-1]


def test_everything_else_of_boto3_is_there(manager, bucket):
    manager.store(bucket, "key", b"abc")
    (found,) = manager.download_client.list_objects_v2(Bucket=bucket)["Contents"]
    assert (found["Key"], found["Size"]) == ("key", 3)
    assert manager.download_client.head_object(Bucket=bucket, Key="key")["Metadata"]["sha256"]


def test_the_real_model_makes_the_round_trip(manager, bucket, folder, real_model):
    stored = manager.store(bucket, "models/minilm.safetensors", real_model)
    fetched = manager.fetch(bucket, "models/minilm.safetensors")
    assert fetched.verified
    assert fetched.sha256 == stored.sha256
    assert fetched.transferred == real_model.stat().st_size
    assert (folder / bucket / "models" / "minilm.safetensors").read_bytes() == real_model.read_bytes()
