"""Downloads without a key, from a bucket that anybody may read."""

import contextlib

import pytest
from botocore.exceptions import ClientError
from local_store import PUBLIC, READER, WRITER
from objects import put
from scripted_server import ScriptedServer

from cdn_cli.listing import list_below
from cdn_engine.wire.attempt import Attempt
from cdn_manager import CDNCredentials, CDNError, CDNManager, CredentialMissingError


@pytest.fixture(scope="module")
def public(admin):
    with contextlib.suppress(admin.exceptions.BucketAlreadyOwnedByYou):
        admin.create_bucket(Bucket=PUBLIC)
    put(admin, PUBLIC, "v1/model.bin", b"weights")
    return PUBLIC


@pytest.fixture
def anybody(store, folder):
    with CDNManager(CDNCredentials(store.url, anonymous=True)) as manager:
        yield manager


def test_public_object_is_downloaded_and_listed_without_a_key(public, anybody, folder):
    assert anybody.fetch(public, "v1/model.bin").verified
    assert anybody.download_file(public, "v1/model.bin") is True
    (found,) = list_below(anybody.download_client, public, "v1/model")
    assert (found.key, found.size) == ("v1/model.bin", 7)
    assert anybody.download_client.head_object(Bucket=public, Key="v1/model.bin")["ContentLength"] == 7
    assert (anybody.creds.anonymous, anybody.upload_client) == (True, None)
    with pytest.raises(CredentialMissingError):
        anybody.store(public, "v1/other.bin", b"weights")


def test_refusal_does_not_blame_a_key(bucket, anybody, log_lines):
    with pytest.raises(ClientError) as caught:
        anybody.fetch(bucket, "model.bin")
    assert caught.value.__notes__ == [f"{bucket}/model.bin, without a key"]
    assert anybody.download_file(bucket, "model.bin") is False
    assert log_lines()[-1].startswith(f"download of {bucket}/model.bin without a key failed: the store answered 403")
    with pytest.raises(CDNError, match=f"{bucket}/v1/, listed without a key: the store answered 403"):
        list(list_below(anybody.download_client, bucket, "v1/"))


def test_writer_may_read_without_a_key(public, store, admin, folder):
    credentials = CDNCredentials(store.url, None, None, *WRITER, anonymous=True)
    with CDNManager(credentials) as manager:
        assert repr(credentials).startswith("<CDNCredentials of anonymous downloader and uploader for ")
        manager.store(public, "v1/mine.bin", b"weights", overwrite="changed")
        assert manager.store(public, "v1/mine.bin", b"weights", overwrite="changed").skipped
        assert manager.fetch(public, "v1/mine.bin").verified


@pytest.mark.portable
def test_nothing_is_signed(folder):
    with ScriptedServer() as server, CDNManager(CDNCredentials(server.url, anonymous=True)) as manager:
        manager.download_client.store.call("HeadObject", {"Bucket": "b", "Key": "k"}, Attempt())
        manager.download_client.head_object(Bucket="b", Key="k")
        assert not any("authorization" in request.headers for request in server.requests)
        assert len(server.requests) == 2


@pytest.mark.portable
def test_key_beside_anonymous_is_a_value_error():
    with pytest.raises(ValueError, match="leave out downloader_access_key"):
        CDNCredentials("http://127.0.0.1:9", *READER, anonymous=True)
