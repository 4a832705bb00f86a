"""Downloads from bad stores, over bad links, to bad disks: the right file or an error in time, never wrong bytes."""

import contextlib
import hashlib
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import fault_proxy as faults
import pytest
import trustme
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from fault_proxy import Proxy
from local_store import READER

from cdn_errors import CDNError, DeadlineExceededError, IntegrityError, ObjectChangedError
from cdn_manager import CDNCredentials, CDNManager

PART = 1 << 20
SIZE = 6 * PART + 12345
PARTS = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
IMPATIENT = Config(read_timeout=1, connect_timeout=1)
RATE = 24 << 20  # slow enough for several connections to be opened
CHILD = Path(__file__).parent / "download_child.py"

# What stays of such a fault is one retry.
ONCE = {
    "connection reset": lambda at: faults.reset_after(at),
    "connection reset before the body": lambda at: faults.reset_after(0),
    "connection reset again and again": lambda at: faults.reset_after(80_000 + at // 2, times=4),
    "silent stall": lambda at: faults.silent_after(at),
    "slow trickle": lambda at: faults.trickle_after(at),
    "truncated body": lambda at: faults.truncated_after(at),
    "body longer than promised": lambda at: faults.longer(times=None),
    "wrong Content-Range": lambda at: faults.wrong_content_range(4096),
    "Content-Range beyond the end": lambda at: faults.short_total(),
    "no Content-Range": lambda at: faults.no_content_range(),
    "500": lambda at: faults.refuses(500, code="InternalError"),
    "503": lambda at: faults.refuses(503, code="SlowDown"),
    "429": lambda at: faults.refuses(429, code="TooManyRequests"),
    "429 with a body that is no XML": lambda at: faults.Fault(
        answer=lambda _: b"HTTP/1.1 429 -\r\nContent-Length: 3\r\n\r\nno!"
    ),
    "522 of a CDN": lambda at: faults.refuses(522, code="Timeout"),
    "no HTTP at all": lambda at: faults.Fault(answer=lambda _: b"220 welcome to the mail server\r\n", close=True),
}

# A store that is always so can still be downloaded from.
ALWAYS = {
    "If-Match refused": lambda: faults.refuses_if_match(),
    "no ETag": lambda: faults.no_etag(),
    "weak ETag": lambda: faults.weak_etag(),
    "metadata dropped": lambda: faults.no_metadata(),
    "metadata in another case": lambda: faults.shouted_metadata(),
    "chunked": lambda: faults.chunked(),
    "connection closed after every answer": lambda: faults.closes(),
    "HTTP/1.0": lambda: faults.http_1_0(),
}

# Nothing can be had from a store that is always so.
HOPELESS = {
    "connection reset": lambda: faults.reset_after(1000, times=None),
    "silent stall": lambda: faults.silent_after(1000, times=None),
    "slow trickle": lambda: faults.trickle_after(1000, times=None),
    "truncated body": lambda: faults.truncated_after(1000, times=None),
    "wrong Content-Range": lambda: faults.wrong_content_range(4096, times=None),
    "no Content-Range": lambda: faults.no_content_range(times=None),
    "503": lambda: faults.refuses(503, code="SlowDown", times=None),
    "no answer": lambda: faults.Fault(answer=lambda request: request.wait_until_gone() or b"", close=True, times=None),
}


def payload_of(size, seed=0):
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="module")
def objects(admin):
    """A bucket with ``object``, which carries its digest, and ``bare``, which does not."""
    name = "faults-objects"
    admin.create_bucket(Bucket=name)
    payload = payload_of(SIZE)
    admin.put_object(
        Bucket=name, Key="object", Body=payload, Metadata={"sha256": hashlib.sha256(payload).hexdigest()}
    )
    admin.put_object(Bucket=name, Key="bare", Body=payload)
    return name


@pytest.fixture
def link(store):
    with Proxy(store.url, rate=RATE) as proxy:
        yield proxy


@pytest.fixture
def connect(link, folder):
    """A function that returns a manager behind ``link``."""
    with contextlib.ExitStack() as managers:
        yield lambda deadline=30, config=IMPATIENT, parts=PARTS: managers.enter_context(
            CDNManager(CDNCredentials(link.url, *READER), config, parts, deadline)
        )


def presigned(admin, bucket, key):
    parts = urlsplit(admin.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))
    return f"{parts.path}?{parts.query}"


def is_whole(folder, bucket, key):
    return (folder / bucket / key).read_bytes() == payload_of(SIZE)


# Bad answers


@pytest.mark.parametrize("key", ["object", "bare"])
@pytest.mark.parametrize("name", ONCE)
def test_the_download_survives(name, key, link, connect, objects, folder):
    rng = random.Random(f"{name} {key}")
    fault = ONCE[name](rng.randrange(1, PART))
    skipped = rng.randrange(3)
    fault.when = lambda _: len(link.gets) > skipped
    link.inject(fault)
    result = connect().fetch(objects, key)
    assert is_whole(folder, objects, key)
    assert result.verified == (key == "object")
    assert fault not in link.faults or fault.times is None


@pytest.mark.parametrize(
    ("name", "key"),
    [("metadata in another case", "object")]
    + [(name, key) for name in ALWAYS if name != "metadata in another case" for key in ("object", "bare")],
)
def test_the_download_copes_with(name, key, link, connect, objects, folder):
    link.inject(ALWAYS[name]())
    result = connect().fetch(objects, key)
    assert is_whole(folder, objects, key)
    assert result.verified == (key == "object" and name != "metadata dropped")


@pytest.mark.parametrize("name", HOPELESS)
def test_the_download_ends_before_its_deadline(name, link, connect, objects, folder):
    link.inject(HOPELESS[name]())
    began = time.monotonic()
    with pytest.raises((CDNError, ClientError, BotoCoreError)):
        connect(deadline=1.5).fetch(objects, "object")
    assert time.monotonic() - began < 1.5 + IMPATIENT.read_timeout + 1
    assert not (folder / objects / "object").exists()


def test_a_broken_body_goes_on_from_its_last_good_byte(link, connect, objects, folder):
    link.rate = None
    link.inject(*(faults.reset_after(300_000, when=lambda _: True) for _ in range(3)))
    one = TransferConfig(multipart_threshold=16 * PART, multipart_chunksize=16 * PART)
    result = connect(parts=one).fetch(objects, "object")
    assert result.transferred == SIZE
    # A reset discards what the system had not yet handed over.
    assert link.bytes_sent <= SIZE + 3 * 300_000
    starts = [int(request.headers["range"].split("=")[1].split("-")[0]) for request in link.gets]
    assert starts == sorted(starts)


def test_without_etag_and_digest_there_is_one_stream(link, connect, objects, folder):
    """Nothing would tell a mixture of two versions: a stream that breaks off starts again."""
    broken = faults.truncated_after(3 * PART, when=lambda request: not request.ranged)
    broken.head = lambda request: request.answer.pop("etag")
    link.inject(broken, faults.no_etag())
    counts = []
    result = connect().fetch(objects, "bare", progress=counts.append)
    assert [request.ranged for request in link.gets] == [True, False, False]
    assert result.transferred == 3 * PART + SIZE
    assert min(counts) < 0
    assert sum(counts) == SIZE
    assert is_whole(folder, objects, "bare")


def test_a_truncated_body_costs_no_byte_twice(link, connect, objects, folder):
    link.inject(*(faults.truncated_after(300_000) for _ in range(3)))
    connect().fetch(objects, "object")
    assert link.bytes_sent == SIZE


def test_retry_after_binds_all_connections(link, connect, objects, folder):
    refused = []

    def refuse(_):
        refused.append(time.monotonic())
        return faults.refuses(503, "Retry-After: 2", code="SlowDown").answer(None)

    asked = []

    def note(_):
        asked.append(time.monotonic())
        return False

    link.inject(faults.Fault(when=note), faults.Fault(answer=refuse, when=lambda _: len(link.gets) == 4))
    connect().fetch(objects, "object")
    # Answers that were under way when the refusal came are none of its business.
    late = [moment - refused[0] for moment in asked if moment > refused[0] + 0.1]
    assert late
    assert min(late) > 1.9


def test_a_store_that_asks_for_too_much_patience_has_failed(link, connect, objects, folder):
    link.inject(faults.refuses(503, "Retry-After: 86400", code="SlowDown", times=None))
    with pytest.raises(ClientError, match="SlowDown"):
        connect().fetch(objects, "object")
    assert len(link.gets) == 1


@pytest.mark.parametrize("key", ["object", "bare"])
def test_a_store_that_ignores_ranges_is_read_from_the_start(key, admin, link, connect, objects, folder):
    link.inject(faults.ignores_range(presigned(admin, objects, key)))
    connect().fetch(objects, key)
    assert is_whole(folder, objects, key)
    assert link.bytes_sent == SIZE


def test_a_store_that_ignores_ranges_can_break_off(admin, link, connect, objects, folder):
    target = presigned(admin, objects, "object")
    broken = faults.truncated_after(2 * PART)
    broken.target = target
    link.inject(broken, faults.ignores_range(target))
    counts = []
    connect().fetch(objects, "object", progress=counts.append)
    assert is_whole(folder, objects, "object")
    assert sum(counts) == SIZE


def test_a_store_that_begins_to_ignore_ranges_is_no_mixture(admin, link, connect, objects, folder):
    late = faults.ignores_range(presigned(admin, objects, "bare"), when=lambda _: len(link.gets) > 3)
    link.inject(late)
    connect().fetch(objects, "bare")
    assert is_whole(folder, objects, "bare")


def test_a_long_way_to_the_first_missing_byte_is_no_stall(store, admin, connect, link, objects, folder):
    """A store that ignores ranges sends what is here already; that takes longer than the stall timeout."""
    link.rate = 3 << 20
    target = presigned(admin, objects, "object")
    broken = faults.truncated_after(5 * PART)
    broken.target = target
    link.inject(broken, faults.ignores_range(target))
    result = connect().fetch(objects, "object")
    assert len(link.gets) == 2
    assert result.verified


def test_chunked_answers_without_any_length_are_asked_for_it(link, connect, admin, objects, folder):
    whole = faults.chunked(whole=True)
    whole.target = presigned(admin, objects, "object")
    link.inject(whole)
    connect().fetch(objects, "object")
    assert is_whole(folder, objects, "object")


def test_a_redirect_is_refused_and_the_other_host_gets_no_request(store, link, connect, objects, folder):
    with Proxy(store.url) as elsewhere:
        link.inject(faults.redirects(elsewhere.url))
        with pytest.raises(ClientError, match="TemporaryRedirect"):
            connect().fetch(objects, "object")
        assert elsewhere.connections == 0


def test_a_store_that_is_gone_for_a_while_is_waited_for(link, connect, objects, folder):
    link.inject(faults.then(lambda: link.go_away(1.0), PART // 2, when=lambda _: len(link.gets) == 2))
    connect().fetch(objects, "object")
    assert is_whole(folder, objects, "object")


def test_a_connection_that_is_cut_brings_no_ciphertext(store, objects, folder, monkeypatch):
    """What is read from a TLS connection after the cut is not of the object."""
    paced = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_bandwidth=4 * PART)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as bundle, Proxy(store.url, tls=context) as link:
        monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
        with CDNManager(CDNCredentials(link.url, *READER), transfer_config=paced) as manager:
            interrupt(manager, objects, PART // 2, "bare")
        with CDNManager(CDNCredentials(link.url, *READER)) as manager:
            assert manager.fetch(objects, "bare").resumed_from > 0
    assert is_whole(folder, objects, "bare")


def test_a_stall_is_named(link, connect, objects, folder):
    link.inject(faults.trickle_after(0, pause=0.01, times=None))
    with pytest.raises(DeadlineExceededError, match=r"no time to try again after: .* fewer than 1024 bytes a second"):
        connect(deadline=2.5).fetch(objects, "object")


def test_an_answer_of_another_place_is_named(link, connect, objects, folder):
    link.inject(faults.wrong_content_range(4096, times=None))
    with pytest.raises(DeadlineExceededError, match=r"was asked for byte 0 .* and sent 4096-"):
        connect(deadline=1).fetch(objects, "bare")


def test_a_connection_that_cannot_be_opened_is_named(folder):
    """Also where the deadline comes during the second attempt."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(4):  # as many as the system lets wait to be taken
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        manager = waiting.enter_context(CDNManager(CDNCredentials(url, *READER), IMPATIENT, None, 1.9))
        with pytest.raises(DeadlineExceededError, match="Connect timeout"):
            manager.fetch("bucket", "object")


def test_the_deadline_binds_while_bytes_flow(link, connect, objects, folder):
    link.link = PART
    with pytest.raises(DeadlineExceededError, match=f"of {SIZE} bytes are kept"):
        connect(deadline=1).fetch(objects, "object")
    link.link = None
    assert connect().fetch(objects, "object").resumed_from > 0


# Changed, corrupted


def overwrite_during_download(admin, link, manager, bucket, rng, ignored):
    """Replace an object without a digest while it is downloaded. Return the end, and both payloads."""
    old, new = payload_of(SIZE, rng.random()), payload_of(SIZE, rng.random())
    admin.put_object(Bucket=bucket, Key="changing", Body=old)
    if ignored:
        link.inject(faults.ignores_if_match(presigned(admin, bucket, "changing")))
    moment = rng.randrange(SIZE)

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


@pytest.mark.parametrize("ignored", [False, True], ids=["", "If-Match ignored"])
def test_an_object_that_changes_is_never_a_mixture(ignored, admin, bucket, link, connect, folder):
    rng = random.Random(ignored)
    manager = connect()
    ends = set()
    for _ in range(4):
        end, old, new = overwrite_during_download(admin, link, manager, bucket, rng, ignored)
        final = folder / bucket / "changing"
        if final.exists():
            assert final.read_bytes() in (old, new)
            ends.add(final.read_bytes() == new)
            final.unlink()
        else:
            assert isinstance(end, CDNError)
    assert True in ends


def test_an_object_that_changes_all_the_time_is_an_error(admin, bucket, link, connect, folder):
    counter = iter(range(1000))

    def head(request):
        request.answer["etag"] = f'"{next(counter)}"'

    admin.put_object(Bucket=bucket, Key="changing", Body=payload_of(SIZE))
    link.inject(faults.Fault(head=head, times=None))
    with pytest.raises(ObjectChangedError):
        connect().fetch(bucket, "changing")
    assert list((folder / bucket).iterdir()) == []


@pytest.mark.parametrize("position", [0, 1, PART - 1, PART, SIZE // 2, SIZE - 1])
def test_a_flipped_bit_on_the_way_is_found(position, link, connect, objects, folder):
    link.inject(faults.flipped_bit(position))
    manager = connect()
    with pytest.raises(IntegrityError):
        manager.fetch(objects, "object")
    assert list((folder / objects).iterdir()) == []
    link.faults.clear()
    assert manager.fetch(objects, "object").verified


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_in_the_partial_is_found(seed, link, connect, objects, folder):
    manager = connect()
    interrupt(manager, objects, 3 * PART)
    (part,) = (folder / objects).glob(".cdn-*.part")
    flip(part, random.Random(seed).randrange(PART) if seed else 0)
    with pytest.raises(IntegrityError):
        manager.fetch(objects, "object")
    assert list((folder / objects).iterdir()) == []
    assert manager.fetch(objects, "object").verified


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_in_the_journal_is_found(seed, link, connect, objects, folder):
    manager = connect()
    interrupt(manager, objects, 3 * PART)
    (journal,) = (folder / objects).glob(".cdn-*.journal")
    flip(journal, random.Random(seed).randrange(journal.stat().st_size))
    result = manager.fetch(objects, "object")
    assert result.resumed_from == 0
    assert is_whole(folder, objects, "object")


def interrupt(manager, bucket, amount, key="object"):
    """Break a download off when so many bytes are here."""
    seen = []

    def progress(count):
        seen.append(count)
        if sum(seen) >= amount:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, key, progress=progress)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << position % 8
    path.write_bytes(content)


def test_a_partial_that_is_replaced_meanwhile_is_not_installed(link, connect, objects, folder):
    """Half of the object would lie in the one file and half in the other."""

    def progress(_):
        for part in (folder / objects).glob(".cdn-*.part"):
            part.unlink()
            part.write_bytes(bytes(SIZE))

    with pytest.raises(FileNotFoundError):
        connect().fetch(objects, "bare", progress=progress)
    assert not (folder / objects / "bare").exists()


# Bad disks


@pytest.fixture
def open_folder():
    """A folder that other users can reach, as pytest's own cannot be."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def run_child(url, bucket, folder, *options, before=()):
    command = [*before, sys.executable, "-P", str(CHILD), url, *READER, bucket, "object", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def on_small_disk(megabytes, folder):
    """Return the command prefix that runs a program with a small disk of its own at ``folder``."""
    script = f'mount -t tmpfs -o size={megabytes}m none "{folder}" && cd "{folder}" && exec "$@"'
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    prefix = [*unshare, "sh", "-c", script, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    return prefix


def test_a_disk_too_small_is_named_before_the_transfer(link, objects, open_folder):
    child = run_child(link.url, objects, open_folder, before=on_small_disk(4, open_folder))
    assert "OSError: [Errno 28] the disk is" in child.stderr
    assert f"bytes too small for {SIZE} bytes" in child.stderr
    assert link.bytes_sent < SIZE // 2


def test_a_disk_that_fills_up_leaves_a_resumable_partial(link, objects, open_folder):
    child = run_child(link.url, objects, open_folder, "--fill", before=on_small_disk(12, open_folder))
    assert f"of {SIZE} bytes are kept for the next call" in child.stdout
    resumed, size = child.stdout.split()[-2:]
    assert 0 < int(resumed) < int(size) == SIZE


def test_a_full_disk_is_told_where_nothing_can_be_mounted(link, connect, objects, folder, monkeypatch):
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=SIZE - 1000))
    with pytest.raises(OSError, match="the disk is 1000 bytes too small"):
        connect().fetch(objects, "object")
    assert list((folder / objects).iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_folder_without_write_permission_is_named(link, objects, open_folder):
    (open_folder / objects).mkdir()
    (open_folder / objects).chmod(0o555)
    child = run_child(link.url, objects, open_folder, "--unprivileged")
    assert "PermissionError" in child.stderr
    assert link.bytes_sent == 0


def test_a_folder_that_vanishes_is_an_error(link, connect, objects, folder):
    with pytest.raises(FileNotFoundError):
        connect().fetch(objects, "object", progress=lambda _: shutil.rmtree(folder / objects, ignore_errors=True))
    assert not (folder / objects / "object").exists()


def test_an_installation_that_fails_can_be_done_again(link, connect, objects, folder, monkeypatch):
    manager = connect()

    def refuse(_, target):
        raise PermissionError(13, "the file is open elsewhere", target)

    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: replace(a, b) if ".cdn-" in str(b) else refuse(a, b))
    with pytest.raises(PermissionError):
        manager.fetch(objects, "object")
    monkeypatch.undo()
    os.chdir(folder)
    assert manager.fetch(objects, "object").transferred == 1
    assert is_whole(folder, objects, "object")
