"""CDNManager: the original interface, the methods that raise, and the log line that every failure leaves."""

import logging
import os
import subprocess
import sys

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from local_store import READER, WRITER

import constants
from cdn_manager import CDNCredentials, CDNManager, CredentialMissingError, TransferResult

portable = pytest.mark.portable

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def one_attempt(monkeypatch):
    """Give up after the first failed attempt."""
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 1)


# Transfers


@portable
def test_uploaded_object_can_be_downloaded(moto_manager, moto_bucket, folder):
    assert moto_manager.upload_bytes(moto_bucket, "a/model.bin", b"weights") is True
    assert moto_manager.download_file(moto_bucket, "a/model.bin") is True
    assert (folder / moto_bucket / "a" / "model.bin").read_bytes() == b"weights"
    assert os.listdir(folder / moto_bucket / "a") == ["model.bin"]


@portable
def test_store_and_fetch_return_what_happened(moto_manager, moto_bucket, folder):
    stored = moto_manager.store(moto_bucket, "model.bin", b"weights")
    assert (stored.bucket, stored.key, stored.size, stored.transferred) == (moto_bucket, "model.bin", 7, 7)
    fetched = moto_manager.fetch(moto_bucket, "model.bin")
    assert fetched.verified
    assert fetched.sha256 == stored.sha256
    assert fetched.etag == stored.etag
    assert (fetched.size, fetched.transferred, fetched.resumed_from, fetched.version_id) == (7, 7, 0, None)
    assert type(stored) is type(fetched) is TransferResult


@portable
def test_fetch_downloads_to_a_path_of_the_callers_choice(moto_manager, moto_bucket, tmp_path):
    moto_manager.upload_client.put_object(Bucket=moto_bucket, Key="../../odd", Body=b"weights")
    target = tmp_path / "elsewhere" / "model.bin"
    moto_manager.fetch(moto_bucket, "../../odd", path=target)
    assert target.read_bytes() == b"weights"


@portable
@pytest.mark.parametrize(
    ("pair", "works", "missing"),
    [("downloader", "download_file", "uploader_access_key"), ("uploader", "upload_bytes", "downloader_access_key")],
    ids=["downloader-only", "uploader-only"],
)
def test_machine_may_hold_only_one_key_pair(
    pair, works, missing, moto_url, moto_manager, moto_bucket, folder, log_lines
):
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
def test_interrupt_is_never_turned_into_false(error, moto_manager, folder):
    def interrupt(*_, **__):
        raise error

    moto_manager.download_client.download_file = interrupt
    moto_manager.upload_client.upload_fileobj = interrupt
    with pytest.raises(error):
        moto_manager.download_file("bucket", "key")
    with pytest.raises(error):
        moto_manager.upload_bytes("bucket", "key", b"abc")


@portable
@pytest.mark.parametrize("arguments", [(None, "key"), ("bucket", None)], ids=["bucket", "key"])
def test_none_as_a_name_returns_false_and_does_not_crash(arguments, moto_manager, folder, log_lines):
    assert moto_manager.download_file(*arguments) is False
    assert moto_manager.upload_bytes(*arguments, b"abc") is False
    assert len(log_lines()) == 2


@portable
@pytest.mark.parametrize("deadline", [0, -1])
def test_deadline_has_to_be_positive(deadline):
    with pytest.raises(ValueError, match="deadline must be"):
        CDNManager(CDNCredentials(UNREACHABLE, *READER, *WRITER), deadline=deadline)


def test_clients_still_offer_the_rest_of_boto3(manager, bucket):
    manager.store(bucket, "key", b"abc")
    (found,) = manager.download_client.list_objects_v2(Bucket=bucket)["Contents"]
    assert (found["Key"], found["Size"]) == ("key", 3)
    assert manager.download_client.head_object(Bucket=bucket, Key="key")["Metadata"]["sha256"]


def test_real_model_round_trips(manager, bucket, folder, real_model):
    stored = manager.store(bucket, "models/minilm.safetensors", real_model)
    fetched = manager.fetch(bucket, "models/minilm.safetensors")
    assert fetched.verified
    assert fetched.sha256 == stored.sha256
    assert fetched.transferred == real_model.stat().st_size
    assert (folder / bucket / "models" / "minilm.safetensors").read_bytes() == real_model.read_bytes()


# Failures, with the reason in the log


@pytest.fixture
def swapped(store, folder):
    """A manager of the real store that reads with the uploader key and writes with the downloader key."""
    with CDNManager(CDNCredentials(store.url, *WRITER, *READER)) as made:
        yield made


def test_upload_with_a_read_only_key_is_refused_with_the_reason(swapped, bucket, log_lines):
    assert swapped.upload_bytes(bucket, "key", b"abc") is False
    (line,) = log_lines()
    assert line.startswith(f"upload of {bucket}/key with the uploader key failed: the store answered 403 Access")
    with pytest.raises(ClientError, match="AccessDenied"):
        swapped.store(bucket, "key", b"abc")


def test_download_with_a_write_only_key_is_refused_with_the_reason(swapped, manager, bucket, log_lines):
    manager.store(bucket, "key", b"abc")
    assert swapped.download_file(bucket, "key") is False
    (line,) = log_lines()
    assert line.startswith(f"download of {bucket}/key with the downloader key failed: the store answered 403 Acc")


@pytest.mark.parametrize(
    ("where", "key", "reason"),
    [(None, "nope", "404 NoSuchKey"), ("no-such-bucket", "key", "NoSuchBucket")],
    ids=["key", "bucket"],
)
def test_missing_key_or_bucket_is_named(where, key, reason, manager, bucket, folder, log_lines):
    assert manager.download_file(where or bucket, key) is False
    assert reason in log_lines()[-1]
    assert not any(path.is_file() for path in folder.rglob("*"))


def test_missing_key_raises_no_such_key_of_botocore(manager, bucket):
    with pytest.raises(manager.download_client.exceptions.NoSuchKey):
        manager.fetch(bucket, "nope")


def test_wrong_secret_is_named(store, bucket, folder, log_lines):
    with CDNManager(CDNCredentials(store.url, READER[0], "wrong", WRITER[0], "wrong")) as manager:
        assert manager.upload_bytes(bucket, "key", b"abc") is False
        assert manager.download_file(bucket, "key") is False
    for line in log_lines():
        assert "SignatureDoesNotMatch" in line
        assert "the secret does not belong to this access key" in line


def test_file_in_place_of_the_folder_is_named(manager, bucket, folder, log_lines):
    manager.store(bucket, "key", b"abc")
    (folder / bucket).write_text("in the way")
    assert manager.download_file(bucket, "key") is False
    assert bucket in log_lines()[-1]
    assert "this file has the name of a directory that is needed" in log_lines()[-1]


@portable
def test_unreachable_host_is_named(folder, log_lines, one_attempt):
    config = Config(connect_timeout=1)
    with CDNManager(CDNCredentials(UNREACHABLE, *READER, *WRITER), config=config) as manager:
        assert manager.download_file("bucket", "key") is False
        assert manager.upload_bytes("bucket", "key", b"abc") is False
        for line in log_lines():
            assert f"no connection to {UNREACHABLE}: Connection refused" in line
        with pytest.raises(EndpointConnectionError):
            manager.fetch("bucket", "key")


@portable
def test_long_wait_between_attempts_is_logged(folder, log_lines, monkeypatch):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 2)
    monkeypatch.setattr("cdn_engine.wire.retry._LOGGED_DELAY", 0.0)
    with CDNManager(CDNCredentials(UNREACHABLE, *READER, *WRITER)) as manager:
        manager.download_file("bucket", "key")
        manager.upload_bytes("bucket", "key", b"abc")
    waits = [line for line in log_lines() if "next attempt in" in line]
    assert len(waits) == 2
    assert all(line.startswith("bucket/key: no connection to") for line in waits)


# The log


@portable
def test_debug_log_shows_no_secret(moto_url, moto_manager, moto_bucket, folder, caplog):
    caplog.set_level(logging.DEBUG, logger="cdn_manager")
    moto_manager.upload_bytes(moto_bucket, "key", b"abc")
    moto_manager.download_file(moto_bucket, "key")
    moto_manager.download_file(moto_bucket, "nope")
    assert caplog.records
    assert not any(pair[1] in caplog.text for pair in (READER, WRITER))


@portable
@pytest.mark.parametrize("unprintable", ["\nERROR all is lost", "\x1b[2J", "\x9b2J", "\u202e"])
def test_key_cannot_forge_a_line_of_the_log(unprintable, folder, log_lines, one_attempt):
    with CDNManager(CDNCredentials(UNREACHABLE, *READER, *WRITER)) as manager:
        assert manager.download_file("bucket", f"key{unprintable}") is False
        assert manager.upload_bytes("bucket", f"key{unprintable}", b"abc") is False
    assert len(log_lines()) == 2
    assert all(line.isprintable() for line in log_lines())


@portable
def test_importing_and_logging_configures_no_logging():
    script = "import logging, constants as c; c.log('quiet'); c.logerror('lost'); print(logging.root.handlers)"
    ran = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
    assert ran.stderr == "lost\n"


@portable
def test_false_has_a_reason_on_stderr_without_any_logging(tmp_path):
    script = (
        "from cdn_manager import CDNCredentials, CDNManager\n"
        "manager = CDNManager(CDNCredentials('http://127.0.0.1:9', 'key', 'secret'))\n"
        "print(manager.upload_bytes('bucket', 'key', b'abc'), manager.download_file('bucket', '../key'))"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "False False\n"
    upload, download = ran.stderr.splitlines()
    assert upload.startswith("upload of bucket/key with the uploader key failed: these credentials have no uploader")
    assert download.startswith("download of bucket/../key with the downloader key failed: ")


@portable
@pytest.mark.parametrize("arguments", [(None, "key", b"abc"), ("bucket", None, b"abc"), ("bucket", "key", None)])
def test_none_in_the_place_of_an_argument_is_false_with_a_reason(arguments, log_lines):
    with CDNManager(CDNCredentials(UNREACHABLE, *READER, *WRITER)) as manager:
        assert manager.upload_bytes(*arguments) is False
        if None in arguments[:2]:
            assert manager.download_file(*arguments[:2]) is False
    assert log_lines()
    assert all("failed: Argument" in line for line in log_lines())


@portable
def test_ctrl_c_is_not_taken_for_a_failure(moto_bucket, moto_manager, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(moto_manager.upload_client), "upload_fileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        moto_manager.upload_bytes(moto_bucket, "key", b"abc")


@portable
def test_log_functions_write_lines_at_their_level(caplog):
    caplog.set_level(logging.INFO, logger="cdn_manager")
    constants.log("100 %s done")
    constants.logerror("lost")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "100 %s done"),
        ("ERROR", "lost"),
    ]


# A module of another project in the place of ours


@portable
def test_stray_constants_module_is_named_by_the_import_error(tmp_path):
    stray = tmp_path / "constants.py"
    stray.write_text("PI = 3.14\n")
    ran = subprocess.run([sys.executable, "-c", "import cdn_manager"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    *_, message = ran.stderr.splitlines()
    assert message.startswith("ImportError: ")
    assert repr(str(stray)) in message
    assert "rename" in message
