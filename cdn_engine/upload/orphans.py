"""Lists multipart uploads that were begun and never finished."""

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from cdn_engine.wire import retry

__all__ = ["list_orphans"]


def list_orphans(client: Any, bucket: str, older_than: float) -> list[tuple[str, str, datetime]]:
    """List the unfinished multipart uploads of a bucket.

    Args:
        client: A boto3 S3 client.
        bucket: The bucket.
        older_than: Age in seconds; younger ones may still be running.

    Returns:
        A list of (key, upload id, time of initiation), for ``client.abort_multipart_upload``.

    Raises:
        PermissionError: The key may not list.
        botocore.exceptions.ClientError: The store refused for another reason.
    """
    before = datetime.now(UTC) - timedelta(seconds=older_than)
    try:
        pages = list(client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket))
    except ClientError as error:
        if retry.status_of(error) == 403:
            raise PermissionError(
                f"listing the unfinished uploads of {bucket!r} needs the permission s3:ListBucketMultipartUploads, "
                "which the uploader key does not have"
            ) from error
        raise
    uploads = [upload for page in pages for upload in page.get("Uploads", ())]
    return [(found["Key"], found["UploadId"], found["Initiated"]) for found in uploads if found["Initiated"] <= before]
