"""Demonstrates the main job on a real file: upload it with one key, download it with another, resume after a kill.

Starts a SeaweedFS store on loopback, and shows that each key is refused what only the other one may do. Everything is
removed at the end.
"""

import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from boto3.s3.transfer import TransferConfig
from local_store import READER, WRITER, LocalStore, model_file

from cdn_manager import CDNCredentials, CDNManager

BUCKET = "models"


def main():
    logging.basicConfig(level=logging.INFO, format="    log: %(message)s", stream=sys.stdout)
    source = Path(sys.argv[1] if len(sys.argv) > 1 else model_file()).resolve(strict=True)
    print("Starting a SeaweedFS store on this machine ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="cdn-manager-demo-") as folder, LocalStore() as store:
        os.chdir(folder)
        try:
            show(store, source)
        finally:
            os.chdir("/")


def show(store, source):
    print(f"It listens at {store.url}. The uploader key can only write, the downloader key can only read.")
    store.create_bucket(BUCKET)
    key = source.name
    with CDNManager(CDNCredentials(store.url, *READER, *WRITER)) as manager:
        print(f"\n1. Upload {key} with the uploader key")
        began = time.monotonic()
        stored = manager.store(BUCKET, key, source)
        report(stored, began)

        print("\n2. Download it with the downloader key")
        began = time.monotonic()
        fetched = manager.fetch(BUCKET, key)
        report(fetched, began)
        if not fetched.verified or fetched.sha256 != stored.sha256:
            raise SystemExit("FAILED: the two digests differ")

        print("\n3. Kill a download halfway, then download again")
        os.unlink(Path(BUCKET, key))
        resumed = killed_and_resumed(store, manager, key, stored.size)
        if not resumed.verified or resumed.sha256 != stored.sha256:
            raise SystemExit("FAILED: the resumed file is not the one that was uploaded")

    print(
        "\n4. Now the key pairs are swapped: uploading with the downloader key and downloading with the uploader key"
        "\n   must both be refused. (The log calls each pair by the role it has been given here.)"
    )
    with CDNManager(CDNCredentials(store.url, *WRITER, *READER)) as swapped:
        if swapped.upload_bytes(BUCKET, "intruder", b"written with the downloader key"):
            raise SystemExit("FAILED: the downloader key could write")
        if swapped.download_file(BUCKET, key):
            raise SystemExit("FAILED: the uploader key could read")
    print("    Both were refused.")
    print("\nAll four steps worked.")


def report(result, began):
    seconds = time.monotonic() - began
    speed = result.size / 1e6 / seconds
    print(f"    {result.size:,} bytes in {seconds:.2f} s, {speed:.0f} MB/s, SHA-256 {result.sha256}")


def killed_and_resumed(store, manager, key, size):
    """Start a download in a child process, kill it halfway, and finish the download here."""
    child = subprocess.Popen([sys.executable, __file__, "--child", store.url, key, str(size)], stdout=subprocess.PIPE)
    with child:
        try:
            child.stdout.readline()
        finally:
            child.kill()
    result = manager.fetch(BUCKET, key)
    print(
        f"    The first download was killed with SIGKILL. The second kept the {result.resumed_from:,} bytes that were"
        f" safely\n    on disk and fetched the other {result.transferred:,}."
    )
    return result


def child(url, key, size):
    """Download slowly enough to be killed halfway, and print a line when half has arrived."""
    seconds = 3
    slow = TransferConfig(max_bandwidth=max(int(size) // seconds, 1))
    received = 0

    def progress(count):
        nonlocal received
        received += count
        if received > int(size) // 2:
            print("half", flush=True)
            time.sleep(60)  # until the kill

    CDNManager(CDNCredentials(url, *READER), transfer_config=slow).fetch(BUCKET, key, progress=progress)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        try:
            main()
        except KeyboardInterrupt:
            sys.exit(130)
