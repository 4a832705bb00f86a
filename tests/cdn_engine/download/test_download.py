"""Round trips with a real store: what a download leaves on disk, requests, returns and costs."""

import hashlib
import os
import threading

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from downloads import PARTS, start_child
from fault_proxy import Proxy
from local_store import READER
from objects import PART, payload_of, put, put_without_digest, unfinished_files

from cdn_manager import CDNCredentials, CDNManager, IntegrityError

FIRST = 8 << 20  # bytes that the first request asks for by default

SIZES = {
    "empty": (0, 0),
    "1 byte": (0, 1),
    "1 part less 1 byte": (1, -1),
    "1 part": (1, 0),
    "1 part and 1 byte": (1, 1),
    "3 parts and 1 byte": (3, 1),
}


@pytest.mark.parametrize(("parts", "more"), SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(("part", "config"), [(PART, PARTS), (FIRST, None)], ids=["parts of 1 MiB", "default parts"])
def test_object_of_any_size_arrives_whole(store, admin, bucket, folder, part, config, parts, more):
    size = parts * part + more
    payload = payload_of(size)
    digest = put(admin, bucket, "object", payload)
    counts = []
    with CDNManager(CDNCredentials(store.url, *READER), transfer_config=config) as manager:
        result = manager.fetch(bucket, "object", progress=counts.append)
    assert (folder / bucket / "object").read_bytes() == payload
    assert (result.size, result.sha256, result.verified) == (size, digest, True)
    assert (sum(counts), result.transferred, result.resumed_from) == (size, size, 0)
    assert unfinished_files(folder) == []


def test_object_of_one_part_takes_one_request(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(FIRST))
    with Proxy(store.url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        manager.fetch(bucket, "object")
        assert len(proxy.requests) == 1


def test_object_without_digest_is_verified_by_its_etag(admin, bucket, manager):
    put_without_digest(admin, bucket, "object", b"plain")
    result = manager.fetch(bucket, "object")
    assert (result.verified, result.verified_by, result.sha256) == (True, "md5", None)


def test_required_digest_is_verified_without_metadata(admin, bucket, manager):
    put_without_digest(admin, bucket, "object", b"plain")
    result = manager.fetch(bucket, "object", sha256=hashlib.sha256(b"plain").hexdigest().upper())
    assert result.verified


def test_content_without_the_required_digest_is_rejected(admin, bucket, manager, folder):
    put_without_digest(admin, bucket, "object", b"other")
    with pytest.raises(IntegrityError, match=f"^{bucket}/object: the object should have the SHA-256"):
        manager.fetch(bucket, "object", sha256=hashlib.sha256(b"plain").hexdigest())
    assert not (folder / bucket / "object").exists()
    assert unfinished_files(folder) == []


def test_required_digest_stands_above_metadata_that_is_wrong(admin, bucket, manager, folder):
    payload = payload_of(3 * FIRST)
    admin.put_object(Bucket=bucket, Key="stale", Body=payload, Metadata={"sha256": "0" * 64})
    with pytest.raises(IntegrityError):
        manager.fetch(bucket, "stale")
    assert manager.fetch(bucket, "stale", sha256=hashlib.sha256(payload).hexdigest()).verified
    assert (folder / bucket / "stale").read_bytes() == payload


def test_missing_object_leaves_no_file(bucket, manager, folder):
    with pytest.raises(ClientError) as caught:
        manager.fetch(bucket, "missing")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    assert caught.value.__notes__ == [f"{bucket}/missing, with the downloader key"]
    assert list(folder.iterdir()) == []


def test_extra_arguments_are_sent_with_every_request(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(3 * PART))
    with (
        Proxy(store.url) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), Config(read_timeout=30), PARTS) as manager,
    ):
        manager.download_client.download_file(
            bucket, "object", "target", ExtraArgs={"RequestPayer": "requester"}, Config=PARTS
        )
        assert [request.headers.get("x-amz-request-payer") for request in proxy.gets] == ["requester"] * 3


def test_unknown_extra_argument_is_rejected(manager):
    with pytest.raises(ValueError, match="Nonsense"):
        manager.download_client.download_file("bucket", "key", "target", ExtraArgs={"Nonsense": 1})


def test_no_thread_survives_a_download(admin, bucket, manager):
    put(admin, bucket, "object", payload_of(3 * FIRST))
    before = set(threading.enumerate())
    manager.fetch(bucket, "object")
    assert {thread.name for thread in set(threading.enumerate()) - before if "cdn" in thread.name} == set()


def test_eight_processes_download_an_object_once(store, admin, bucket, folder):
    payload = payload_of(2 * FIRST)
    put(admin, bucket, "object", payload)
    with Proxy(store.url) as proxy:
        children = [start_child(proxy.url, bucket, "object", folder) for _ in range(8)]
        for child in children:
            child.communicate()
        assert [child.returncode for child in children] == [0] * 8
        # If a connection hands over part of its range, what is in its socket buffers by then is sent twice.
        assert proxy.bytes_sent < 2 * len(payload)
    assert (folder / bucket / "object").read_bytes() == payload
    assert unfinished_files(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="needs ru_maxrss")
def test_memory_does_not_grow_with_the_object(store, admin, bucket, folder):
    put(admin, bucket, "object", bytes(192 << 20))
    out, _ = start_child(store.url, bucket, "object", folder, "--memory").communicate()
    assert 0 < int(out.split()[-1]) < 64 << 20
