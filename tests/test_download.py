"""What a download leaves on disk and says, against the real store: sizes, progress, names, resuming, Ctrl-C, memory."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import fault_proxy as faults
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from fault_proxy import Proxy
from local_store import READER

from cdn_errors import DeadlineExceededError, IntegrityError
from cdn_manager import CDNCredentials, CDNManager

FIRST = 8 << 20  # what the first request asks for
PART = 1 << 20
PARTS = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
CHILD = Path(__file__).parent / "download_child.py"
ORIGIN = Path(__file__).parent.parent / "bench" / "origin.py"


def payload_of(size, seed=0):
    return random.Random(seed).randbytes(size)


def put(admin, bucket, key, payload, **options):
    """Store an object with its digest, as this module's uploads do."""
    digest = hashlib.sha256(payload).hexdigest()
    admin.put_object(Bucket=bucket, Key=key, Body=payload, Metadata={"sha256": digest}, **options)
    return digest


def put_bare(admin, bucket, key, payload):
    """Store an object without a digest, as others do."""
    admin.put_object(Bucket=bucket, Key=key, Body=payload)


def left_behind(folder):
    return sorted(path.name for path in folder.rglob(".cdn-*"))


def start_child(url, bucket, key, folder, *options):
    command = [sys.executable, "-P", CHILD, url, *READER, bucket, key, *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def origin_of(path):
    """A store of one file, however large it is."""
    command = [sys.executable, ORIGIN, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.fixture(scope="module")
def bucket(admin):
    """One bucket for all: what differs is the folder."""
    admin.create_bucket(Bucket="downloads")
    return "downloads"


@pytest.fixture
def link(store):
    """A link of 4 MiB a second in all to the store."""
    with Proxy(store.url, link=4 << 20) as proxy:
        yield proxy


@pytest.fixture
def slow_manager(link, folder):
    """A manager behind ``link``."""
    with CDNManager(CDNCredentials(link.url, *READER)) as manager:
        yield manager


@pytest.mark.portable
def test_a_broken_download_arrives_whole_on_every_python(moto_url, moto_bucket, moto_manager, folder):
    payload = payload_of(3 * FIRST)
    stored = moto_manager.store(moto_bucket, "object", payload)
    with Proxy(moto_url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        proxy.inject(faults.reset_after(PART), faults.truncated_after(PART), faults.refuses(503, code="SlowDown"))
        result = manager.fetch(moto_bucket, "object")
    assert (result.sha256, result.verified) == (stored.sha256, True)
    assert (folder / moto_bucket / "object").read_bytes() == payload


@pytest.mark.parametrize(
    ("size", "config"),
    [(size, PARTS) for size in (0, 1, PART - 1, PART, PART + 1, 3 * PART + 1)]
    + [(size, None) for size in (0, 1, FIRST - 1, FIRST, FIRST + 1, 3 * FIRST + 1)],
)
def test_every_size_arrives_whole(store, admin, bucket, folder, size, config):
    payload = payload_of(size)
    digest = put(admin, bucket, "object", payload)
    counts = []
    with CDNManager(CDNCredentials(store.url, *READER), transfer_config=config) as manager:
        result = manager.fetch(bucket, "object", progress=counts.append)
    assert (folder / bucket / "object").read_bytes() == payload
    assert (result.size, result.sha256, result.verified) == (size, digest, True)
    assert (sum(counts), result.transferred, result.resumed_from) == (size, size, 0)
    assert left_behind(folder) == []


def test_an_object_of_one_part_costs_one_request(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(FIRST))
    with Proxy(store.url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        manager.fetch(bucket, "object")
        assert len(proxy.requests) == 1


def test_a_link_that_limits_each_connection_gets_more_of_them(store, admin, bucket, folder):
    payload = payload_of(24 << 20)
    put(admin, bucket, "object", payload)
    with Proxy(store.url, rate=8 << 20) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        manager.fetch(bucket, "object")
        assert proxy.connections > 2
    assert (folder / bucket / "object").read_bytes() == payload


def test_the_number_of_connections_can_be_bound(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(6 * PART))
    one = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
    with (
        Proxy(store.url, rate=8 << 20) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), transfer_config=one) as manager,
    ):
        manager.fetch(bucket, "object")
        assert (proxy.connections, len(proxy.gets)) == (1, 6)


def test_an_object_without_digest_is_not_called_verified(admin, bucket, manager, folder):
    put_bare(admin, bucket, "object", b"plain")
    result = manager.fetch(bucket, "object")
    assert (result.verified, result.sha256) == (False, None)


def test_a_pinned_digest_is_verified_without_metadata(admin, bucket, manager, folder):
    put_bare(admin, bucket, "object", b"plain")
    result = manager.fetch(bucket, "object", sha256=hashlib.sha256(b"plain").hexdigest().upper())
    assert result.verified


def test_a_pinned_digest_refuses_other_content(admin, bucket, manager, folder):
    put_bare(admin, bucket, "object", b"other")
    with pytest.raises(IntegrityError):
        manager.fetch(bucket, "object", sha256=hashlib.sha256(b"plain").hexdigest())
    assert not (folder / bucket / "object").exists()
    assert left_behind(folder) == []


def test_a_pinned_digest_refuses_an_object_that_carries_another_at_once(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(3 * FIRST))
    with Proxy(store.url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        with pytest.raises(IntegrityError, match="carries"):
            manager.fetch(bucket, "object", sha256="0" * 64)
        assert len(proxy.gets) == 1


def test_an_unchanged_object_is_not_transferred_twice(store, admin, bucket, folder):
    payload = payload_of(3 * PART)
    put(admin, bucket, "object", payload)
    with Proxy(store.url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        manager.fetch(bucket, "object")
        before, counts = proxy.bytes_sent, []
        result = manager.fetch(bucket, "object", progress=counts.append)
        assert proxy.bytes_sent == before
    assert (result.transferred, result.verified, sum(counts)) == (0, True, len(payload))


def test_a_changed_object_is_transferred_again(admin, bucket, manager, folder):
    put(admin, bucket, "object", payload_of(PART, 1))
    manager.fetch(bucket, "object")
    put(admin, bucket, "object", payload_of(PART, 2))
    assert manager.fetch(bucket, "object").transferred == PART
    assert (folder / bucket / "object").read_bytes() == payload_of(PART, 2)


def test_a_damaged_final_file_is_replaced(admin, bucket, manager, folder):
    put(admin, bucket, "object", payload_of(PART))
    (folder / bucket).mkdir()
    (folder / bucket / "object").write_bytes(bytes(PART))
    manager.fetch(bucket, "object")
    assert (folder / bucket / "object").read_bytes() == payload_of(PART)


@pytest.mark.skipif(os.name == "nt", reason="timers of POSIX")
@pytest.mark.parametrize("end", [DeadlineExceededError, KeyboardInterrupt])
def test_looking_at_the_file_that_is_there_can_be_ended(end, folder):
    with open("target", "wb") as file:
        file.truncate(4 << 30)
    deadline = 0.3 if end is DeadlineExceededError else None
    with (
        origin_of("target") as url,
        Proxy(url) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), deadline=deadline) as manager,
    ):
        began = time.process_time()
        if end is KeyboardInterrupt:
            signal.signal(signal.SIGPROF, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_PROF, 0.2)  # of the processor's time, which takes it into the hashing
        with pytest.raises(end):
            manager.fetch("bucket", "key", path="target", sha256="0" * 64)
        assert time.process_time() - began < 1.0  # all of it takes more
        assert [request.method for request in proxy.requests] == ["HEAD"]


def test_a_missing_object_leaves_nothing(bucket, manager, folder):
    with pytest.raises(ClientError) as caught:
        manager.fetch(bucket, "missing")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    assert list((folder / bucket).iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_file_has_the_permissions_of_a_plain_open(admin, bucket, manager, folder, umask):
    put(admin, bucket, "object", b"payload")
    before = os.umask(umask)
    try:
        manager.fetch(bucket, "object")
    finally:
        os.umask(before)
    assert (folder / bucket / "object").stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_interrupted_download_goes_on_where_it_ended(link, slow_manager, admin, bucket, folder):
    payload = payload_of(3 * FIRST)
    put(admin, bucket, "object", payload)
    seen = []

    def interrupt(count):
        seen.append(count)
        if sum(seen) > FIRST:
            raise KeyboardInterrupt

    link.link = 64 << 20
    with pytest.raises(KeyboardInterrupt):
        slow_manager.fetch(bucket, "object", progress=interrupt)
    kept, counts = sum(seen), []
    assert len(left_behind(folder)) == 3
    result = slow_manager.fetch(bucket, "object", progress=counts.append)
    assert result.resumed_from == kept == counts[0]
    assert result.transferred == len(payload) - kept
    assert sum(counts) == len(payload)
    assert (folder / bucket / "object").read_bytes() == payload
    assert left_behind(folder) == []


def test_a_callback_that_fails_leaves_a_resumable_partial(link, slow_manager, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(2 * FIRST))
    link.link = 64 << 20

    def fail(_):
        raise LookupError("the caller's own")

    with pytest.raises(LookupError):
        slow_manager.fetch(bucket, "object", progress=fail)
    assert slow_manager.fetch(bucket, "object").resumed_from > 0


def test_what_is_left_of_another_version_is_counted_back(link, slow_manager, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(2 * FIRST, 1))
    link.link = 64 << 20
    kept = []

    def interrupt(count):
        kept.append(count)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slow_manager.fetch(bucket, "object", progress=interrupt)
    put(admin, bucket, "object", payload_of(2 * FIRST, 2))
    counts = []
    result = slow_manager.fetch(bucket, "object", progress=counts.append)
    assert counts[0] > 0
    assert min(counts) < 0
    assert sum(counts) == 2 * FIRST
    assert result.resumed_from == 0
    assert (folder / bucket / "object").read_bytes() == payload_of(2 * FIRST, 2)


def test_nothing_is_resumed_for_another_object(link, slow_manager, admin, bucket, folder):
    for key in ("one", "two"):  # of the same content, and so of the same ETag
        put(admin, bucket, key, payload_of(2 * FIRST))
    link.link = 64 << 20

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slow_manager.fetch(bucket, "one", path="target", progress=interrupt)
    assert slow_manager.fetch(bucket, "two", path="target").resumed_from == 0
    assert Path("target").read_bytes() == payload_of(2 * FIRST)


@pytest.mark.skipif(os.name == "nt", reason="directories that cannot be synced")
def test_nothing_has_its_name_before_it_is_on_disk(link, slow_manager, admin, bucket, folder, monkeypatch):
    put(admin, bucket, "object", payload_of(3 * FIRST))
    link.link = 64 << 20
    events, fsync, replace = [], os.fsync, os.replace

    def note_fsync(descriptor):
        fsync(descriptor)
        events.append(("synced", os.fstat(descriptor).st_ino))

    def note_replace(source, target):
        events.append(("named", os.stat(source).st_ino))
        replace(source, target)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    with pytest.raises(KeyboardInterrupt):
        slow_manager.fetch(bucket, "object", progress=interrupt)
    journal, part = (next((folder / bucket).glob(f"*.{kind}")).stat().st_ino for kind in ("journal", "part"))
    assert events[-3:] == [("synced", part), ("synced", journal), ("named", journal)]
    slow_manager.fetch(bucket, "object")
    assert events[-3:] == [("synced", part), ("named", part), ("synced", (folder / bucket).stat().st_ino)]


def run_killed(proxy, bucket, folder, payload, kills, wait):
    """Kill a download when ``wait`` says so, until it ends by itself. Check the final name after each."""
    final = folder / bucket / "object"
    killed = 0
    for _ in range(kills):
        sent = proxy.bytes_sent
        child = start_child(proxy.url, bucket, "object", folder)
        while proxy.bytes_sent == sent and child.poll() is None:  # it takes a while to import
            time.sleep(0.01)
        wait(child)
        if child.poll() is None:
            child.kill()
            killed += 1
        child.communicate()
        if final.exists():
            assert final.read_bytes() == payload
            break
    child = start_child(proxy.url, bucket, "object", folder)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 0, out
    return killed


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_download_survives_sigkill(link, admin, bucket, folder):
    payload = payload_of(16 << 20)
    put(admin, bucket, "object", payload)

    def journals():
        return {path.stat().st_ino for path in (folder / bucket).glob(".cdn-*.journal")}

    def wait_for_a_new_journal(child):
        before = journals()
        while journals() <= before and child.poll() is None:
            time.sleep(0.01)

    killed = run_killed(link, bucket, folder, payload, 3, wait_for_a_new_journal)
    assert killed == 3
    assert (folder / bucket / "object").read_bytes() == payload
    assert left_behind(folder) == []
    # A second of the link goes by before each kill, and less than half of one is lost.
    assert link.bytes_sent < len(payload) + killed * link.link / 2


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_flowing_download_within_a_second(link, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(32 << 20))
    child = start_child(link.url, bucket, "object", folder)
    assert child.stdout.readline() == "flowing\n"
    sent_at = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == "interrupted with 1 thread\n"
    assert time.monotonic() - sent_at < 1.0
    child.communicate()
    assert len(left_behind(folder)) == 3


def test_no_thread_outlives_a_download(admin, bucket, manager, folder):
    put(admin, bucket, "object", payload_of(3 * FIRST))
    before = set(threading.enumerate())
    manager.fetch(bucket, "object")
    assert {thread.name for thread in set(threading.enumerate()) - before if "cdn" in thread.name} == set()


def test_eight_processes_fetch_one_object_once(store, admin, bucket, folder):
    payload = payload_of(2 * FIRST)
    put(admin, bucket, "object", payload)
    with Proxy(store.url) as proxy:
        children = [start_child(proxy.url, bucket, "object", folder) for _ in range(8)]
        for child in children:
            child.communicate()
        assert [child.returncode for child in children] == [0] * 8
        # What was in the system's buffers of a connection that gave its rest to another one was sent twice.
        assert proxy.bytes_sent < 2 * len(payload)
    assert (folder / bucket / "object").read_bytes() == payload
    assert left_behind(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="ru_maxrss")
def test_memory_does_not_grow_with_the_object(store, admin, bucket, folder):
    put(admin, bucket, "object", bytes(192 << 20))
    child = start_child(store.url, bucket, "object", folder, "--memory")
    out, _ = child.communicate()
    assert 0 < int(out.split()[-1]) < 64 << 20


def test_a_bound_bandwidth_is_no_stall(folder):
    Path("source").write_bytes(payload_of(3 << 19))
    bound = TransferConfig(max_bandwidth=1 << 19)
    with (
        origin_of("source") as url,
        Proxy(url) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), Config(read_timeout=0.4), bound) as manager,
    ):
        manager.fetch("bucket", "object")
        assert len(proxy.gets) == 1


def test_bandwidth_is_bound(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(2 * PART))
    bound = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_bandwidth=2 * PART)
    began = time.monotonic()
    with CDNManager(CDNCredentials(store.url, *READER), transfer_config=bound) as manager:
        manager.fetch(bucket, "object")
    assert time.monotonic() - began > 0.7


def test_arguments_go_with_every_request(store, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(3 * PART))
    with (
        Proxy(store.url) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), Config(read_timeout=5), PARTS) as manager,
    ):
        manager.download_client.download_file(
            bucket, "object", "target", ExtraArgs={"RequestPayer": "requester"}, Config=PARTS
        )
        assert [request.headers.get("x-amz-request-payer") for request in proxy.gets] == ["requester"] * 3


def test_an_unknown_argument_is_refused(manager, folder):
    with pytest.raises(ValueError, match="Nonsense"):
        manager.download_client.download_file("bucket", "key", "target", ExtraArgs={"Nonsense": 1})


def test_a_directory_in_the_way_is_named(admin, bucket, manager, folder):
    put(admin, bucket, "object", b"payload")
    (folder / bucket / "object").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        manager.fetch(bucket, "object")
