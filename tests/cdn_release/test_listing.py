"""Tests which releases a store is said to have."""

import pytest
from local_store import READER, WRITER
from stored_releases import put_release

from cdn_manager import CDNCredentials, CDNManager, CredentialMissingError
from cdn_release import ManifestError, releases


def test_each_release_at_the_store_is_described(admin, bucket, manager):
    """With a key that may read and list."""
    first = put_release(admin, bucket, "v1", b"weights", b"config 1", signed=True)
    second = put_release(admin, bucket, "v2", b"weights", b"a longer config")
    found = list(releases(manager, bucket))
    assert [release[:4] for release in found] == [("v1", first.sha256, 2, 15), ("v2", second.sha256, 2, 22)]
    assert all(release.published.startswith("20") for release in found)


@pytest.mark.portable
def test_prefix_has_releases_of_its_own(moto_admin, moto_bucket, moto_manager):
    put_release(moto_admin, moto_bucket, "v1", b"1")
    put_release(moto_admin, moto_bucket, "v2", b"2", prefix="llama/")
    assert [release.name for release in releases(moto_manager, moto_bucket)] == ["v1"]
    assert [release.name for release in releases(moto_manager, moto_bucket, prefix="llama")] == ["v2"]
    assert list(releases(moto_manager, moto_bucket, prefix="lla")) == []


def test_what_else_lies_beside_the_manifests_is_no_release(moto_admin, moto_bucket, moto_manager):
    put_release(moto_admin, moto_bucket, "v1", b"1")
    for key in ("releases/README.md", "releases/old/v0.json", "releases/", "releases.json"):
        moto_admin.put_object(Bucket=moto_bucket, Key=key, Body=b"{}")
    assert [release.name for release in releases(moto_manager, moto_bucket)] == ["v1"]


@pytest.mark.parametrize("name", ["v2", "no name"])
def test_broken_manifest_is_named_after_all_other_releases(moto_admin, moto_bucket, moto_manager, name):
    put_release(moto_admin, moto_bucket, "v1", b"1")
    moto_admin.put_object(Bucket=moto_bucket, Key=f"releases/{name}.json", Body=b"{}")
    put_release(moto_admin, moto_bucket, "v3", b"3")
    found = releases(moto_manager, moto_bucket)
    assert [next(found).name, next(found).name] == ["v1", "v3"]
    with pytest.raises(ManifestError, match=f"{moto_bucket}/releases/{name}.json: "):
        next(found)


def test_more_releases_than_are_read_at_a_time_keep_their_order(moto_admin, moto_bucket, moto_manager):
    names = [f"v{number}" for number in range(10, 50)]
    for name in names:
        put_release(moto_admin, moto_bucket, name, b"the same")
    assert [release.name for release in releases(moto_manager, moto_bucket)] == names


def test_write_key_alone_cannot_list(moto_url, moto_bucket):
    manager = CDNManager(CDNCredentials(moto_url, None, None, *WRITER))
    with manager, pytest.raises(CredentialMissingError, match="may read"):
        releases(manager, moto_bucket)


def test_read_key_alone_can_list(moto_url, moto_admin, moto_bucket):
    put_release(moto_admin, moto_bucket, "v1", b"1")
    with CDNManager(CDNCredentials(moto_url, *READER)) as manager:
        assert [release.name for release in releases(manager, moto_bucket)] == ["v1"]
