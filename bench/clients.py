"""The libraries that the benchmarks compare: how each fetches an object into a file, and how it stores one.

A client has ``get(bucket, key, target, work)`` and ``put(bucket, key, source, work)``; a source is bytes or a path. The
work is ``DEFAULT``, what the client does by itself; ``SYNC``, a download that is also on the disk; or ``DIGEST``, with
the SHA-256 of the object besides: compared in a download, stored as metadata in an upload. Ours does all of it always.
"""

import hashlib
import io
import os
from pathlib import Path

DEFAULT, SYNC, DIGEST = "default", "sync", "digest"
REGION = "us-east-1"
_BLOCK = 1 << 20


class Ours:
    def __init__(self, url, pair):
        from cdn_manager import CDNCredentials, CDNManager

        self._manager = CDNManager(CDNCredentials(url, *pair, *pair))

    def get(self, bucket, key, target, work):
        if self._manager.fetch(bucket, key, path=target).verified != (work == DIGEST):
            raise ValueError("the object's digest has not been compared, or there was one")

    def put(self, bucket, key, source, work):
        self._manager.store(bucket, key, source)


class Minio:
    """minio-py. For a digest, what it receives is hashed before it is written; its own function writes a file."""

    def __init__(self, url, pair):
        from minio import Minio

        scheme, _, host = url.partition("://")
        self._client = Minio(host, *pair, secure=scheme == "https", region=REGION)

    def get(self, bucket, key, target, work):
        if work == DIGEST:
            answer = self._client.get_object(bucket, key)
            save(answer.stream(_BLOCK), key, target, work)
            answer.release_conn()
        else:
            self._client.fget_object(bucket, key, target)
            finish(key, target, work)

    def put(self, bucket, key, source, work):
        metadata = digest_metadata(source, work)
        if isinstance(source, bytes):
            self._client.put_object(bucket, key, io.BytesIO(source), len(source), metadata=metadata)
        else:
            self._client.fput_object(bucket, key, source, metadata=metadata)


class Boto3:
    """boto3 with its transfer manager. The file is hashed afterwards."""

    def __init__(self, url, pair):
        import boto3

        self._client = boto3.client(
            "s3", endpoint_url=url, region_name=REGION, aws_access_key_id=pair[0], aws_secret_access_key=pair[1]
        )

    def get(self, bucket, key, target, work):
        self._client.download_file(bucket, key, target)
        finish(key, target, work)

    def put(self, bucket, key, source, work):
        extra = {"Metadata": digest_metadata(source, work)}
        if isinstance(source, bytes):
            self._client.upload_fileobj(io.BytesIO(source), bucket, key, ExtraArgs=extra)
        else:
            self._client.upload_file(source, bucket, key, ExtraArgs=extra)


class BareBoto3(Boto3):
    """boto3 with one call for a whole object."""

    def get(self, bucket, key, target, work):
        save([self._client.get_object(Bucket=bucket, Key=key)["Body"].read()], key, target, work)

    def put(self, bucket, key, source, work):
        self._client.put_object(Bucket=bucket, Key=key, Body=source, Metadata=digest_metadata(source, work))


class Obstore:
    """obstore. What it receives is hashed before it is written."""

    def __init__(self, url, pair):
        options = {"allow_http": True}
        if url.startswith("https:"):
            options["root_certificate"] = Path(os.environ["SSL_CERT_FILE"]).read_bytes()
        self._settings = {
            "endpoint": url, "access_key_id": pair[0], "secret_access_key": pair[1], "region": REGION,
            "virtual_hosted_style_request": False, "client_options": options,
        }  # fmt: skip
        self._stores = {}

    def _store(self, bucket):
        from obstore.store import S3Store

        if bucket not in self._stores:
            self._stores[bucket] = S3Store(bucket, **self._settings)
        return self._stores[bucket]

    def get(self, bucket, key, target, work):
        import obstore

        save(obstore.get(self._store(bucket), key).stream(), key, target, work)

    def put(self, bucket, key, source, work):
        import obstore

        body = source if isinstance(source, bytes) else Path(source)
        obstore.put(self._store(bucket), key, body, attributes=digest_metadata(source, work))


def save(blocks, key, target, work):
    """Write an object to a file, and do the rest of the work meanwhile."""
    digest = hashlib.sha256() if work == DIGEST else None
    with open(target, "wb") as file:
        for block in blocks:
            if digest is not None:
                digest.update(block)
            file.write(block)
        if work != DEFAULT:
            file.flush()
            os.fsync(file.fileno())
    if digest is not None:
        compare(key, digest)


def finish(key, target, work):
    """Do the rest of the work on a file that is there."""
    if work == DEFAULT:
        return
    with open(target, "rb+") as file:
        if work == DIGEST:
            compare(key, hashlib.file_digest(file, "sha256"))
        os.fsync(file.fileno())


def compare(key, digest):
    """Compare a digest with the one that ends the object's key."""
    if not key.endswith(f"-{digest.hexdigest()}"):
        raise ValueError("the content is not the object's")


def digest_metadata(source, work):
    """Return the metadata to store an object with."""
    if work != DIGEST:
        return {}
    if isinstance(source, bytes):
        return {"sha256": hashlib.sha256(source).hexdigest()}
    with open(source, "rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
