"""Shows the main job on a real file: up with the write key, down with the read key, and what each key is refused.

A SeaweedFS store is started on loopback for it, and a child process is killed half-way through the download to show
that the next one continues. Nothing is left behind.
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
    logging.basicConfig(level=logging.INFO, format="    log: %(message)s")
    source = Path(sys.argv[1] if len(sys.argv) > 1 else model_file()).resolve(strict=True)
    with tempfile.TemporaryDirectory(prefix="cdn-manager-demo-") as folder, LocalStore() as store:
        os.chdir(folder)
        try:
            show(store, source)
        finally:
            os.chdir("/")


def show(store, source):
    print(f"A SeaweedFS store serves at {store.url}.")
    store.create_bucket(BUCKET)
    key = source.name
    with CDNManager(CDNCredentials(store.url, *READER, *WRITER)) as manager:
        print(f"\nUpload {key} with the write key")
        began = time.monotonic()
        stored = manager.store(BUCKET, key, source)
        tell(stored, began)

        print("\nDownload it with the read key")
        began = time.monotonic()
        fetched = manager.fetch(BUCKET, key)
        tell(fetched, began)
        if not fetched.verified or fetched.sha256 != stored.sha256:
            raise SystemExit("FAILED: the two digests differ")

        print("\nKill a download half-way, and download again")
        os.unlink(Path(BUCKET, key))
        resumed = killed_and_resumed(store, manager, key, stored.size)
        if not resumed.verified or resumed.sha256 != stored.sha256:
            raise SystemExit("FAILED: the resumed file is not the one that was uploaded")

    print("\nWhat each key is refused")
    with CDNManager(CDNCredentials(store.url, *WRITER, *READER)) as swapped:
        if swapped.upload_bytes(BUCKET, "intruder", b"from a reader"):
            raise SystemExit("FAILED: the read key could write")
        if swapped.download_file(BUCKET, key):
            raise SystemExit("FAILED: the write key could read")
    print("\nAll of it held.")


def tell(result, began):
    seconds = time.monotonic() - began
    speed = result.size / 1e6 / seconds
    print(f"    {result.size} bytes in {seconds:.2f} s, {speed:.0f} MB/s, SHA-256 {result.sha256}")


def killed_and_resumed(store, manager, key, size):
    """Start a download in a child, kill it when half is there, and finish the job here."""
    child = subprocess.Popen([sys.executable, __file__, "--child", store.url, key, str(size)], stdout=subprocess.PIPE)
    with child:
        try:
            child.stdout.readline()
        finally:
            child.kill()
    result = manager.fetch(BUCKET, key)
    print(
        f"    killed (SIGKILL); the second download took over {result.resumed_from} of {size} bytes and fetched "
        f"{result.transferred}: {size - result.transferred} bytes were not fetched twice"
    )
    return result


def child(url, key, size):
    """Download slowly enough to be killed half-way, and say when half is there."""
    seconds = 3
    slowly = TransferConfig(max_bandwidth=max(int(size) // seconds, 1))
    here = 0

    def progress(count):
        nonlocal here
        here += count
        if here > int(size) // 2:
            print("half", flush=True)
            time.sleep(60)  # until the kill

    CDNManager(CDNCredentials(url, *READER), transfer_config=slowly).fetch(BUCKET, key, progress=progress)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        try:
            main()
        except KeyboardInterrupt:
            sys.exit(130)
