"""Two releases for tests, and what a directory and a bucket that have them consist of."""

import hashlib
import json
import os
import stat
from pathlib import Path

from objects import payload_of

BLOCK = 4096  # bytes
OURS = ".cdn-release"
KEPT = {"lock", "installing", "history", "manifests"}  # what is in there while nothing is being installed


def files_of(name, size=1 << 20):
    """Return the content and the mode of each file of release ``v1`` or ``v2``, by path.

    Args:
        name: The release.
        size: Bytes of the largest file of both, and of a file that only the second has.
    """
    files = {
        "config.json": (b'{"version": "%s"}' % name.encode(), 0o644),
        "copy of config.json": (b'{"version": "%s"}' % name.encode(), 0o600),
        "empty": (b"", 0o644),
        "model.bin": (payload_of(size, "model"), 0o644),
        "run.sh": (b"#!/bin/sh\n", 0o755),
        "tokenizer/vocabulary.txt": (payload_of(3 * BLOCK, name), 0o644),
    }
    if name == "v1":
        return files | {"tokenizer/merges.txt": (b"merges", 0o644)}
    return files | {"adapter/layers/delta.bin": (payload_of(size, "delta"), 0o444)}


def write_release(folder, name, size=1 << 20):
    """Write the files of a release below ``folder``. Return the folder."""
    for path, (content, mode) in files_of(name, size).items():
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
    return folder


def _holds(path, content):
    return Path(path).read_bytes() == content


def fault_in(root, files, holds=_holds):
    """Say in what a directory differs from the files that it should have; None if it has exactly these.

    Args:
        root: The directory.
        files: What ``files_of`` returns.
        holds: Takes a path and the content that the file should have; returns False if it has another.
    """
    root = os.path.join(root, "")
    found = {os.path.join(folder, name)[len(root):] for folder, _, names in os.walk(root) for name in names}
    if found != files.keys():
        return f"missing: {files.keys() - found}, extra: {found - files.keys()}"
    for path, (content, mode) in files.items():
        if (found_mode := os.lstat(root + path).st_mode) != stat.S_IFREG | mode:
            return f"{path} has the mode {found_mode:o}"
        if not holds(root + path, content):
            return f"{path} has another content"
    return None


def current_name(directory):
    """Return what ``current`` names; None if there is no such link, nor a file in its stead."""
    link = Path(directory, "current")
    if link.is_symlink():
        return os.readlink(link)
    return link.read_text().rstrip("\n") if link.exists() else None


def check_directory(directory, names, current, size=1 << 20):
    """Assert that a directory has these releases, whole, and nothing else but what is kept with them."""
    assert {path.name for path in directory.iterdir()} == {"current", OURS, *names}
    assert current_name(directory) == current
    for name in names:
        assert fault_in(directory / name, files_of(name, size)) is None
    ours = directory / OURS
    assert {path.name for path in ours.iterdir()} == KEPT
    assert {path.name for path in (ours / "manifests").iterdir()} == {f"{name}.json" for name in names}
    assert current in (ours / "history").read_text().splitlines()


def visible_releases(admin, bucket, prefix=""):
    """Return the manifests that a bucket has, by name. Assert that it has what they name.

    Returns:
        The manifests, and all keys below the prefix.
    """
    keys = keys_of(admin, bucket, prefix)
    manifests = {}
    for key in keys:
        if key.startswith(f"{prefix}releases/") and key.endswith(".json"):
            manifest = json.loads(admin.get_object(Bucket=bucket, Key=key)["Body"].read())
            manifests[manifest["name"]] = manifest
            for file in manifest["files"]:
                answer = admin.get_object(Bucket=bucket, Key=f"{prefix}objects/{file['sha256']}")
                content = answer["Body"].read()
                assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size"], file["sha256"])
                assert answer["Metadata"] == {"sha256": file["sha256"]}
    return manifests, keys


def check_bucket(admin, bucket, names, prefix=""):
    """Assert that a bucket has these releases, whole, and nothing else, such as a marker."""
    manifests, keys = visible_releases(admin, bucket, prefix)
    assert manifests.keys() == set(names)
    digests = {file["sha256"] for manifest in manifests.values() for file in manifest["files"]}
    assert keys == {f"{prefix}objects/{one}" for one in digests} | {f"{prefix}releases/{name}.json" for name in names}


def keys_of(admin, bucket, prefix=""):
    """Return all keys below a prefix."""
    pages = admin.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {found["Key"] for page in pages for found in page.get("Contents", ())}
