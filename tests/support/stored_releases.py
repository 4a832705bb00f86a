"""Releases as they are at a store, put there by hand: whole ones, broken ones, and what stays of them."""

import hashlib

from objects import put

from cdn_release import FileEntry, Manifest


def digest(content):
    return hashlib.sha256(content).hexdigest()


def put_release(admin, bucket, name, *contents, prefix="", signed=False):
    """Store a release whose files have these contents, as publishing leaves it. Return its manifest."""
    described = [(len(content), digest(content)) for content in contents]
    entries = [FileEntry(f"{index}.bin", size, sha256, 0o644) for index, (size, sha256) in enumerate(described)]
    manifest = Manifest.of(name, entries)
    for content in contents:
        put(admin, bucket, f"{prefix}objects/{digest(content)}", content)
    if signed:
        put(admin, bucket, f"{prefix}releases/{name}.{manifest.sha256}.sig", b"signature")
    put(admin, bucket, f"{prefix}releases/{name}.json", manifest.encode())
    return manifest


def keys_in(admin, bucket):
    """Return all keys of a bucket, as a set."""
    pages = admin.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", ())}


def keys_of(*manifests, prefix=""):
    """Return the keys of releases without signatures, as a set."""
    objects = {f"{prefix}objects/{file.sha256}" for manifest in manifests for file in manifest.files}
    return objects | {f"{prefix}releases/{manifest.name}.json" for manifest in manifests}
