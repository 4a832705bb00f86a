"""Keys that expire: fresh ones are asked for once, and no transfer notices."""

import contextlib
import functools
import os
import subprocess
import sys
import threading

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ParamValidationError, ReadTimeoutError
from downloads import PARTS
from expiring_store import ExpiringStore
from local_store import READER, WRITER
from objects import SAMPLE_SIZE, payload_of, put, put_without_digest
from scripted_server import answering
from tracebacks import secrets_shown

from cdn_engine.download.listing import list_objects
from cdn_engine.wire.keys import _Asking
from cdn_manager import CDNCredentials, CDNManager, DeadlineExceededError

portable = pytest.mark.portable

SECRETS = [f"{what}-{number}" for what in ("read-secret", "write-secret", "token") for number in (1, 2, 3)]
BOTH = pytest.mark.parametrize("expiring", [400, 403], indirect=True)
UPLOAD = payload_of(11 << 20)  # three parts


@pytest.fixture
def expiring(request, moto_url):
    with ExpiringStore(moto_url, getattr(request, "param", 400)) as store:
        yield store


@pytest.fixture
def connect(expiring, folder, monkeypatch):
    """A function that returns a manager of the store. A request that counts as failed ends its transfers."""
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 1)
    with contextlib.ExitStack() as managers:
        yield lambda **options: managers.enter_context(
            CDNManager(expiring.credentials(), **{"refresh": expiring.refresh, **options})
        )


def interrupt(*_):
    raise KeyboardInterrupt


# In the middle of a transfer


def test_real_store_accepts_what_is_signed_with_fresh_keys(store, bucket, folder):
    """With a key that it does not know, or no more, it answers as MinIO does when one has expired."""
    gone = CDNCredentials(store.url, "gone", "read-secret-1", "gone", "write-secret-1")
    with CDNManager(gone, refresh=lambda: CDNCredentials(store.url, *READER, *WRITER)) as manager:
        for _ in range(2):
            manager.store(bucket, "model", UPLOAD)
            assert manager.fetch(bucket, "model").verified
        assert manager.download_client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
        assert manager.creds.downloader_access_key == READER[0]


@portable
@BOTH
@pytest.mark.parametrize("left", [0, 1, 3])
def test_download_over_several_connections_goes_on(expiring, connect, moto_admin, moto_bucket, folder, left):
    put(moto_admin, moto_bucket, "model", payload_of(SAMPLE_SIZE))
    expiring.left, counts = left, []
    manager = connect(transfer_config=PARTS)
    result = manager.fetch(moto_bucket, "model", progress=counts.append)
    assert (folder / moto_bucket / "model").read_bytes() == payload_of(SAMPLE_SIZE)
    assert (expiring.refreshed, result.transferred, sum(counts)) == (1, SAMPLE_SIZE, SAMPLE_SIZE)
    assert expiring.refused
    assert manager.creds is not None


@portable
@BOTH
def test_small_object_is_downloaded(expiring, connect, moto_admin, moto_bucket, folder):
    put(moto_admin, moto_bucket, "small", b"weights")
    expiring.left = 0
    assert connect().download_file(moto_bucket, "small") is True
    assert (folder / moto_bucket / "small").read_bytes() == b"weights"
    assert expiring.refreshed == 1


@portable
@BOTH
def test_listing_goes_on(expiring, connect):
    page = b"<ListBucketResult><IsTruncated>%s</IsTruncated><Contents><Key>%s</Key></Contents>%s</ListBucketResult>"
    first = page % (b"true", b"a", b"<NextContinuationToken>next</NextContinuationToken>")
    expiring.fault("GET", answering(200, body=first), answering(200, body=page % (b"false", b"b", b"")))
    expiring.left = 1
    assert [found.key for found in list_objects(connect().download_client.store, "bucket", "")] == ["a", "b"]
    assert (expiring.refused, expiring.refreshed) == (["GET"], 1)


@portable
@BOTH
@pytest.mark.parametrize(
    ("left", "refused"),
    [(0, "CreateMultipartUpload"), (1, "UploadPart"), (2, "UploadPart"), (4, "CompleteMultipartUpload")],
)
def test_upload_in_parts_goes_on(expiring, connect, moto_admin, moto_bucket, left, refused):
    expiring.left, counts = left, []
    connect().store(moto_bucket, "model", UPLOAD, progress=counts.append)
    assert moto_admin.get_object(Bucket=moto_bucket, Key="model")["Body"].read() == UPLOAD
    assert (expiring.refreshed, sum(counts), set(expiring.refused)) == (1, len(UPLOAD), {refused})


@portable
@BOTH
def test_upload_in_one_request_is_sent_anew(expiring, connect, moto_admin, moto_bucket):
    expiring.left, counts = 1, []  # with HEAD, it is asked what is there
    stored = connect().store(moto_bucket, "small", UPLOAD[:6 << 20], progress=counts.append, overwrite=False)
    assert moto_admin.get_object(Bucket=moto_bucket, Key="small")["Body"].read() == UPLOAD[:6 << 20]
    assert (expiring.refused, expiring.refreshed, sum(counts)) == (["PutObject"], 1, 6 << 20)
    assert stored.sha256


@portable
@BOTH
def test_file_that_is_there_is_not_downloaded_again(expiring, connect, moto_admin, moto_bucket, folder):
    """The answer to HEAD cannot say that the keys have expired."""
    put_without_digest(moto_admin, moto_bucket, "model", b"weights")
    manager = connect()
    manager.fetch(moto_bucket, "model")
    expiring.left = 0
    assert manager.fetch(moto_bucket, "model").skipped
    assert expiring.refreshed == 1


@portable
def test_fresh_keys_serve_both_directions(expiring, connect, moto_bucket):
    manager = connect()
    expiring.left = 0
    manager.store(moto_bucket, "model", b"weights")
    manager.fetch(moto_bucket, "model")
    assert (expiring.refused, expiring.refreshed) == (["PutObject"], 1)
    assert "token-2" in str(expiring.requests[-1].head)
    assert "x-amz-security-token" in expiring.requests[-1].headers["authorization"]


@portable
@pytest.mark.parametrize("code", ["ExpiredTokenException", "InvalidAccessKeyId", "InvalidTokenId"])
def test_other_words_for_it_are_understood(code, expiring, connect, moto_bucket):
    expiring.code, expiring.left = code, 0
    connect().store(moto_bucket, "model", b"weights")
    assert expiring.refreshed == 1


@portable
def test_threads_that_wait_for_fresh_keys_share_them(expiring, connect, moto_admin, moto_bucket):
    put(moto_admin, moto_bucket, "small", b"weights")
    everyone, fetched = threading.Event(), []

    def refresh():
        everyone.wait(300)
        return expiring.refresh()

    manager = connect(refresh=refresh)
    expiring.left = 0
    threads = [
        threading.Thread(target=lambda n=n: fetched.append(manager.fetch(moto_bucket, "small", path=f"file-{n}")))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    while len(expiring.refused) < len(threads):
        threading.Event().wait(0.01)
    everyone.set()
    for thread in threads:
        thread.join(300)
    assert (len(fetched), expiring.refreshed) == (8, 1)


# No fresh keys


@portable
def test_fresh_keys_that_are_refused_too_end_the_transfer(expiring, connect, moto_bucket):
    expiring.left, old = 0, expiring.credentials()
    asked = []
    manager = connect(refresh=lambda: asked.append(1) or old)
    with pytest.raises(ClientError, match="ExpiredToken"):
        manager.store(moto_bucket, "model", b"weights")
    assert len(asked) == 1


@portable
@pytest.mark.parametrize(
    ("payload", "left", "options"),
    [(b"weights", 1, {"overwrite": False}), (UPLOAD, 0, {}), (UPLOAD, 1, {}), (UPLOAD, 4, {})],
    ids=["put", "create", "part", "complete"],
)
def test_what_refresh_raises_ends_an_upload(payload, left, options, expiring, connect, moto_bucket):
    """It is no lost answer of the store, and nothing is waited for."""
    reason = ReadTimeoutError(endpoint_url="https://sts.example.com")

    def refresh():
        raise reason

    manager = connect(refresh=refresh)
    expiring.left = left
    with pytest.raises(ReadTimeoutError) as caught:
        manager.store(moto_bucket, "model", payload, **options)
    assert caught.value is reason
    assert secrets_shown(caught.value, *SECRETS) == []


@portable
@pytest.mark.parametrize("refresh", [None, lambda: None], ids=["without-refresh", "no-fresh-keys"])
def test_parts_that_have_arrived_are_kept_for_a_call_with_fresh_keys(refresh, expiring, connect, moto_bucket):
    one_by_one = TransferConfig(max_concurrency=1)
    manager = connect(refresh=refresh, transfer_config=one_by_one)
    expiring.left = 2  # of which one begins the upload
    with pytest.raises((ClientError, TypeError)):
        manager.store(moto_bucket, "model", UPLOAD)
    with CDNManager(expiring.credentials(), transfer_config=one_by_one) as fresh:
        assert fresh.store(moto_bucket, "model", UPLOAD).resumed_from > 0


@portable
@pytest.mark.parametrize("left", [0, 2])
def test_what_refresh_raises_ends_a_download(left, expiring, connect, moto_admin, moto_bucket):
    put(moto_admin, moto_bucket, "model", payload_of(SAMPLE_SIZE))

    def refresh():
        raise LookupError("no identity provider")

    manager = connect(refresh=refresh, transfer_config=PARTS)
    expiring.left = left
    with pytest.raises(LookupError, match="no identity provider") as caught:
        manager.fetch(moto_bucket, "model")
    assert secrets_shown(caught.value, *SECRETS) == []


@portable
@pytest.mark.parametrize(
    ("fresh", "said"),
    [
        (lambda url: None, "must return CDNCredentials, not a NoneType"),
        (lambda url: CDNCredentials("http://127.0.0.1:9", "r", "rs", "w", "ws"), "for the same host and region"),
        (lambda url: CDNCredentials(url, "r", "rs"), "with the same pairs"),
    ],
    ids=["nothing", "another-host", "a-pair-is-missing"],
)
def test_what_refresh_returns_is_looked_at(fresh, said, expiring, connect, moto_bucket, log_lines):
    manager = connect(refresh=lambda: fresh(expiring.url))
    expiring.left = 0
    assert manager.upload_bytes(moto_bucket, "model", b"weights") is False
    assert said in log_lines()[-1]


@portable
def test_without_refresh_the_error_says_what_to_do(expiring, connect, moto_bucket, log_lines):
    manager = connect(refresh=None)
    expiring.left = 0
    assert manager.upload_bytes(moto_bucket, "model", b"weights") is False
    assert "400 ExpiredToken: scripted (get fresh keys; in Python, CDNManager(refresh=...) does so)" in log_lines()[-1]


@portable
@pytest.mark.parametrize("way", ["fetch", "store"])
def test_deadline_ends_the_wait_for_fresh_keys(way, expiring, connect, moto_bucket):
    hanging = threading.Event()
    manager = connect(refresh=functools.partial(hanging.wait, 300), deadline=0.5)
    expiring.left = 0
    with pytest.raises(DeadlineExceededError):
        manager.store(moto_bucket, "key", b"weights") if way == "store" else manager.fetch(moto_bucket, "key")
    hanging.set()


@portable
def test_deadline_ends_the_wait_for_fresh_keys_beside_a_file_that_is_there(
    expiring, connect, moto_admin, moto_bucket, folder
):
    put_without_digest(moto_admin, moto_bucket, "model", b"weights")
    hanging, returned = threading.Event(), []
    connect().fetch(moto_bucket, "model")
    manager = connect(refresh=lambda: returned.append(hanging.wait(15)), deadline=0.5)
    expiring.left = 0
    with pytest.raises(DeadlineExceededError):
        manager.fetch(moto_bucket, "model")
    assert returned == []
    hanging.set()


@portable
def test_refresh_that_uses_its_own_manager_does_not_wait_for_itself(expiring, connect, moto_bucket, folder):
    manager = connect(refresh=lambda: manager.fetch(moto_bucket, "fresh-keys"), deadline=60)
    expiring.left = 0
    with pytest.raises(RuntimeError, match="refresh has used the manager that waits for it"):
        manager.fetch(moto_bucket, "model")


@portable
def test_others_ask_anew_when_ctrl_c_came_before_anybody_had_asked(expiring, connect, moto_bucket, monkeypatch):
    """It may come while the thread that asks is about to be started."""
    with monkeypatch.context() as interrupted:
        interrupted.setattr(_Asking, "begin", interrupt)
        manager = connect(deadline=60)
        expiring.left = 0
        with pytest.raises(KeyboardInterrupt):
            manager.download_client.list_objects_v2(Bucket=moto_bucket)
    assert manager.store(moto_bucket, "model", b"weights")
    assert expiring.refreshed == 1


@portable
@pytest.mark.parametrize("keys", [("top-secret\udcff", "a-token"), ("top-secret", "a-token\udcff")])
def test_keys_that_cannot_be_sent_are_not_shown(keys, expiring, moto_bucket, folder):
    """Such as an environment variable that is not UTF-8."""
    secret, token = keys
    credentials = CDNCredentials(expiring.url, "reader", secret, downloader_session_token=token)
    with CDNManager(credentials) as manager, pytest.raises(ParamValidationError) as caught:
        manager.fetch(moto_bucket, "model")
    assert secrets_shown(caught.value, "top-secret", "a-token") == []


@portable
@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_no_version_of_the_signature_shows_the_token(version, expiring, connect, moto_bucket, folder):
    expiring.fault("GET", lambda exchange: exchange.reset())
    with pytest.raises(ConnectionClosedError) as caught:
        connect(config=Config(signature_version=version)).fetch(moto_bucket, "model")
    assert expiring.requests[-1].headers["x-amz-security-token"] == "token-1"
    assert secrets_shown(caught.value, *SECRETS) == []


@portable
@pytest.mark.parametrize("way", ["fetch", "store"])
def test_callback_that_raises_ends_the_wait_for_fresh_keys(way, expiring, connect, moto_bucket):
    class Cancelled(Exception):
        pass

    def progress(_):
        if expiring.refused:
            raise Cancelled

    hanging = threading.Event()
    manager = connect(refresh=functools.partial(hanging.wait, 300))
    expiring.left = 0
    transfer = (
        functools.partial(manager.store, moto_bucket, "key", b"weights")
        if way == "store" else functools.partial(manager.fetch, moto_bucket, "key")
    )  # fmt: skip
    with pytest.raises(Cancelled):
        transfer(progress=progress)
    hanging.set()


@portable
def test_requests_of_boto3_raise_what_refresh_raises(expiring, connect, moto_bucket):
    def refresh():
        raise LookupError("no identity provider")

    manager = connect(refresh=refresh)
    expiring.left = 0
    with pytest.raises(LookupError, match="no identity provider"):
        manager.download_client.list_objects_v2(Bucket=moto_bucket)


@portable
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_does_not_wait_for_what_its_parent_has_asked_for(expiring, moto_bucket, folder):
    script = (
        "import os, sys, threading\n"
        "from cdn_manager import CDNCredentials, CDNManager\n"
        "def credentials(token):\n"
        "    return CDNCredentials(sys.argv[1], uploader_access_key='w', uploader_access_secret='s',\n"
        "                          uploader_session_token=token)\n"
        "parent, asked = os.getpid(), threading.Event()\n"
        "def refresh():\n"
        "    asked.set()\n"
        "    if os.getpid() == parent:\n"
        "        threading.Event().wait()\n"
        "    return credentials('token-1')\n"
        "manager = CDNManager(credentials('old'), refresh=refresh)\n"
        "threading.Thread(target=manager.store, args=(sys.argv[2], 'a', b'a'), daemon=True).start()\n"
        "asked.wait()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    manager.store(sys.argv[2], 'b', b'b')\n"
        "    os._exit(0)\n"
        "os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script, expiring.url, moto_bucket], check=True, timeout=300)


# boto3's own requests


@portable
@BOTH
def test_requests_of_boto3_are_made_with_fresh_keys_too(expiring, connect, moto_bucket):
    manager = connect()
    expiring.left = 0
    manager.upload_client.put_object(Bucket=moto_bucket, Key="key", Body=b"abc")
    expiring.left = 0
    assert manager.download_client.list_objects_v2(Bucket=moto_bucket)["KeyCount"] == 1
    assert (expiring.refused, expiring.refreshed) == (["PutObject", "GET"], 2)


@portable
def test_request_of_boto3_for_a_head_is_made_with_fresh_keys_too(expiring, connect, moto_admin, moto_bucket):
    put(moto_admin, moto_bucket, "key", b"abc")
    expiring.left = 0
    assert connect().download_client.head_object(Bucket=moto_bucket, Key="key")["ContentLength"] == 3
    assert expiring.refreshed == 1


@portable
def test_request_of_boto3_is_made_once_more_and_no_oftener(expiring, connect, moto_bucket):
    old = expiring.credentials()
    manager = connect(refresh=lambda: old)
    expiring.left = 0
    with pytest.raises(ClientError, match="ExpiredToken") as caught:
        manager.download_client.list_objects_v2(Bucket=moto_bucket)
    assert len(expiring.refused) == 2
    assert secrets_shown(caught.value, *SECRETS) == []
