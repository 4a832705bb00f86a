"""Runs downloads that are interrupted, killed, hit by a fault, or overtaken by a new version of the object."""

import subprocess
import sys
import time
from pathlib import Path

import fault_proxy as faults
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from local_store import READER
from objects import PART, SAMPLE_SIZE, payload_of, presigned, sha256_of

from cdn_engine.download import bytes_kept
from cdn_manager import CDNError

PARTS = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
IMPATIENT = Config(read_timeout=1, connect_timeout=1)

OPAQUE = '"0123456789abcdef"'  # an ETag that is not made of MD5s

_CHILD = Path(__file__).with_name("download_child.py")


def facts(result):
    """Return what a result says about what was done."""
    return result.transferred, result.skipped, result.verified_by


def start_child(url, bucket, key, folder, *options, before=(), **settings):
    """Start a process that downloads one object. ``before`` is a command that runs it."""
    command = [*before, sys.executable, "-P", _CHILD, url, *READER, bucket, key, *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, **settings)


def fetch_with_fault(make_fault, link, manager, bucket, key, rng):
    """Download while one request, of the first three, meets a transient fault. Return the result."""
    fault, skipped = make_fault(rng.randrange(1, PART)), rng.randrange(3)
    fault.when = lambda _: len(link.gets) > skipped
    link.inject(fault)
    result = manager.fetch(bucket, key)
    assert fault not in link.faults or fault.times is None
    return result


def interrupt(manager, bucket, key, amount):
    """Break off a download when ``amount`` bytes have arrived."""
    received = 0

    def progress(count):
        nonlocal received
        received += count
        if received >= amount:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, key, progress=progress)


def run_killed(proxy, bucket, key, digest, folder, kills, wait):
    """Kill a download again and again. The final name must never have anything but the whole object.

    Args:
        proxy: The link to the store.
        bucket: The bucket.
        key: The object's key.
        digest: Its SHA-256.
        folder: The working directory.
        kills: How many processes to kill.
        wait: Takes a process that has begun to receive; returns when it is to be killed.

    Returns:
        For each killed process, how many bytes of the object were kept. There are fewer than ``kills`` if a process
        finished the download first.
    """
    final = folder / bucket / key
    kept = []
    while len(kept) < kills:
        sent = proxy.bytes_sent
        with start_child(proxy.url, bucket, key, folder) as child:
            while proxy.bytes_sent == sent and child.poll() is None:
                time.sleep(0.01)
            wait(child)
            child.kill()
        if final.exists():
            assert sha256_of(final) == digest
            break
        kept.append(bytes_kept(str(final)))
    return kept


def overwrite_during_download(admin, link, manager, bucket, rng, if_match_ignored):
    """Replace an object without a digest while it is downloaded.

    Args:
        admin: A client that is allowed everything.
        link: The link that ``manager`` uses.
        manager: What downloads.
        bucket: The bucket.
        rng: Determines the contents and the moment.
        if_match_ignored: True to have the store ignore ``If-Match``.

    Returns:
        The result or error of the download, the old content and the new one.
    """
    old, new = payload_of(SAMPLE_SIZE, rng.random()), payload_of(SAMPLE_SIZE, rng.random())
    admin.put_object(Bucket=bucket, Key="changing", Body=old)
    if if_match_ignored:
        link.inject(faults.ignores_if_match(presigned(admin, bucket, "changing")))
    moment = rng.randrange(SAMPLE_SIZE)

    def progress(_):
        nonlocal moment
        if moment is not None and link.bytes_sent >= moment:
            moment = None
            admin.put_object(Bucket=bucket, Key="changing", Body=new)

    try:
        return manager.fetch(bucket, "changing", progress=progress), old, new
    except (CDNError, ClientError) as error:
        return error, old, new
    finally:
        link.faults.clear()
