"""``orphans``: the multipart uploads that were started and never finished."""

import pytest
from local_store import ADMIN

from cdn_manager import CDNCredentials, CDNManager


def test_orphans_lists_unfinished_uploads_by_age(store, bucket, admin):
    started = admin.create_multipart_upload(Bucket=bucket, Key="a/model.bin")["UploadId"]
    with CDNManager(CDNCredentials(store.url, "", "", *ADMIN)) as manager:
        assert manager.orphans(bucket) == []
        ((key, upload_id, _),) = manager.orphans(bucket, older_than=-60)
        assert (key, upload_id) == ("a/model.bin", started)
        manager.upload_client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        assert manager.orphans(bucket, older_than=-60) == []


def test_orphans_names_the_missing_permission(publisher_at, store, bucket):
    with pytest.raises(PermissionError, match="s3:ListBucketMultipartUploads"):
        publisher_at(store.url).orphans(bucket)
