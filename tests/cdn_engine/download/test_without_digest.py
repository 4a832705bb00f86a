"""Objects that carry no digest are transferred once, and verified where their ETag allows it."""

import io
import os

import pytest
from altering_proxy import AlteringProxy, serving
from downloads import OPAQUE, facts
from fault_proxy import Proxy
from local_store import READER
from objects import payload_of, put_without_digest

from cdn_engine.download import existing, receipt
from cdn_manager import CDNCredentials, CDNManager

SMALL = 100_000
LARGE = 20 << 20  # in boto3's parts, and more than one request brings
NOT_ITS_MD5 = f'"{32 * "0"}"'  # as with SSE-KMS

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs st_ctime to be the time of the last change")


@pytest.mark.parametrize("size", [0, SMALL, LARGE], ids=["empty", "small", "in parts"])
def test_object_stored_by_boto3_is_transferred_once(size, shop):
    shop.admin.upload_fileobj(io.BytesIO(payload_of(size)), shop.bucket, "object")
    first, *others = (shop.manager.fetch(shop.bucket, "object") for _ in range(3))
    assert facts(first) == (size, False, "md5")
    assert [facts(result) for result in others] == [(0, True, "md5")] * 2
    assert all(result.verified and result.size == size and result.etag == first.etag for result in others)


@pytest.mark.parametrize("etag", [OPAQUE, NOT_ITS_MD5])
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "long"])
def test_object_whose_etag_is_not_its_md5_is_not_verified_and_transferred_once(
    etag, size, moto_url, moto_admin, moto_bucket, folder
):
    put_without_digest(moto_admin, moto_bucket, "object", payload_of(size))
    with (
        serving(AlteringProxy(moto_url, answers_with={"ETag": etag})) as address,
        CDNManager(CDNCredentials(f"http://{address}", *READER)) as manager,
    ):
        first, *others = (manager.fetch(moto_bucket, "object") for _ in range(3))
    assert (facts(first), first.verified) == ((size, False, None), False)
    assert [facts(result) for result in others] == [(0, True, None)] * 2


def test_one_head_is_enough_to_know(store, admin, bucket, folder):
    put_without_digest(admin, bucket, "object", payload_of(SMALL))
    counts = []
    with Proxy(store.url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        manager.fetch(bucket, "object")
        proxy.requests.clear()
        manager.fetch(bucket, "object", progress=counts.append)
        assert [request.method for request in proxy.requests] == ["HEAD"]
    assert sum(counts) == SMALL


def test_file_that_someone_else_has_put_there_is_compared_once(shop, monkeypatch):
    shop.admin.upload_fileobj(io.BytesIO(payload_of(LARGE)), shop.bucket, "object")
    shop.admin.download_file(shop.bucket, "object", "file")
    monkeypatch.setattr(receipt, "_SETTLED", -1 << 60)
    compared, usual = [], existing.matches
    monkeypatch.setattr(existing, "matches", lambda *arguments: compared.append(1) or usual(*arguments))
    for _ in range(3):
        assert facts(shop.manager.fetch(shop.bucket, "object", path="file")) == (0, True, "md5")
    assert len(compared) == 1


def test_file_that_has_just_been_changed_is_not_remembered(shop, state_folder, monkeypatch):
    """The next change might leave the same times."""
    put_without_digest(shop.admin, shop.bucket, "object", payload_of(LARGE))
    shop.admin.download_file(shop.bucket, "object", "file")
    monkeypatch.setattr(receipt, "_SETTLED", 1 << 60)
    assert facts(shop.manager.fetch(shop.bucket, "object", path="file")) == (0, True, "md5")
    assert not list(state_folder.glob("downloads/*"))


def test_file_of_another_size_is_not_read(shop, monkeypatch):
    put_without_digest(shop.admin, shop.bucket, "object", payload_of(SMALL))
    with open("file", "wb") as file:
        file.write(payload_of(SMALL + 1))
    monkeypatch.setattr(existing, "matches", lambda *_: pytest.fail("it was read"))
    assert facts(shop.manager.fetch(shop.bucket, "object", path="file")) == (SMALL, False, "md5")


def test_other_file_of_the_same_size_is_replaced(shop):
    shop.admin.upload_fileobj(io.BytesIO(payload_of(LARGE)), shop.bucket, "object")
    with open("file", "wb") as file:
        file.write(payload_of(LARGE, 1))
    assert facts(shop.manager.fetch(shop.bucket, "object", path="file")) == (LARGE, False, "md5")
