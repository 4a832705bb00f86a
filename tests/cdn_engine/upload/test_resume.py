"""Uploads that go on where an earlier call, of any process, has ended."""

import hashlib
import io
import json
import math
import os
import random
import threading
import time

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from payloads import SMALLEST_PART, payload_of, sha256
from scripted_server import Exchange, answering, losing_the_answer

from cdn_engine.records import Records
from cdn_engine.upload import journal
from cdn_engine.upload.journal import Journal
from cdn_manager import (
    CDNCredentials,
    CDNManager,
    DeadlineExceededError,
    ObjectChangedError,
    ObjectExistsError,
    OutcomeUnknownError,
)

pytestmark = pytest.mark.portable

PARTS, PART = 4, 1 << 20  # the scripted server takes parts of any size
SIZE = PARTS * PART
LARGE = 9 << 20  # bytes
ONE_AFTER_THE_OTHER = TransferConfig(multipart_threshold=1, multipart_chunksize=PART, max_concurrency=1)
PATIENCE = 100  # seconds; no test waits for it


@pytest.fixture
def publisher(publisher_at, server):
    return publisher_at(server.url, transfer_config=ONE_AFTER_THE_OTHER)


@pytest.fixture(scope="module")
def payload():
    return payload_of(SIZE)


@pytest.fixture
def interrupt(server):
    """A function that breaks off an upload when the store has so many parts: ``interrupt(publisher, payload, 2)``."""

    def upload(publisher, payload, parts, error=KeyboardInterrupt, bucket="bucket", key="key", **options):
        before = server.operations.count("UploadPart")

        def progress(_):
            if server.operations.count("UploadPart") - before > parts:
                raise error

        server.fault("UploadPart", *[None] * parts, hold)
        with pytest.raises(error):
            publisher.store(bucket, key, payload, progress=progress, **options)

    def hold(exchange):
        for _ in exchange.read_body(100_000):
            pass
        server.ended.wait(PATIENCE)

    return upload


def operations_since(server, start):
    return server.operations[start:]


def journals(state_folder, kind="json"):
    return sorted(state_folder.glob(f"uploads/*.{kind}"))


@pytest.mark.parametrize("as_source", [bytes, io.BytesIO, "path", "file"])
def test_next_call_sends_what_is_missing(server, publisher, interrupt, payload, folder, as_source):
    path = folder / "payload"
    path.write_bytes(payload)
    make = {"path": lambda _: path, "file": lambda _: path.open("rb")}.get(as_source, as_source)
    interrupt(publisher, payload, 2)
    assert server.operations == ["CreateMultipartUpload", *["UploadPart"] * 3]
    counts = []
    result = publisher.store("bucket", "key", make(payload), progress=counts.append)
    assert operations_since(server, 4) == [*["UploadPart"] * 2, "CompleteMultipartUpload"]
    assert (result.resumed_from, result.transferred) == (2 * PART, 2 * PART)
    assert sum(counts) == SIZE
    assert next(filter(None, counts)) == 2 * PART
    numbers = [int(request.query["partNumber"][0]) for request in server.requests if "partNumber" in request.query]
    assert numbers == [1, 2, 3, 3, 4]
    assert server.requests[-1].body.count(b"<Part>") == PARTS


def test_upload_of_bytes_goes_on_too(server, publisher, interrupt, payload):
    interrupt(publisher, payload, 3)
    assert publisher.upload_bytes("bucket", "key", payload)
    assert operations_since(server, 5) == ["UploadPart", "CompleteMultipartUpload"]


def test_it_is_said_how_to_go_on(publisher, interrupt, payload, log_lines):
    interrupt(publisher, payload, 2)
    (line,) = log_lines()
    assert line.startswith("bucket/key: 2 of 4 MiB are at the store: ")


def test_deadline_and_failures_of_the_network_keep_what_the_store_has(server, publisher_at, payload, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.request._PATIENCE", 0.0)
    publisher = publisher_at(server.url, transfer_config=ONE_AFTER_THE_OTHER)
    server.fault("UploadPart", None, answering(503), None, Exchange.reset)
    for _ in range(2):
        with pytest.raises(Exception, match=r"scripted|[Cc]onnection"):
            publisher.store("bucket", "key", payload)
    assert server.operations.count("UploadPart") == 4
    slow = publisher_at(server.url, transfer_config=ONE_AFTER_THE_OTHER, deadline=3.0)
    server.fault("UploadPart", lambda exchange: server.ended.wait(PATIENCE))
    with pytest.raises(DeadlineExceededError):
        slow.store("bucket", "key", payload)
    publisher.store("bucket", "key", payload)
    assert server.operations.count("CreateMultipartUpload") == 1
    assert server.operations.count("UploadPart") == 7


def test_all_parts_are_there_and_nothing_is_sent(server, publisher, payload, monkeypatch):
    monkeypatch.setattr("cdn_engine.upload.completion._SHORTEST_REST", 0.0)
    monkeypatch.setattr("cdn_engine.upload.completion._COPIED", math.inf)
    monkeypatch.setattr("cdn_engine.upload.request._PATIENCE", 0.0)
    server.fault("CompleteMultipartUpload", answering(503, "SlowDown"))
    with pytest.raises(ClientError, match="SlowDown"):
        publisher.store("bucket", "key", payload)
    start = len(server.operations)
    result = publisher.store("bucket", "key", payload)
    assert operations_since(server, start) == ["CompleteMultipartUpload"]
    assert (result.transferred, result.resumed_from) == (0, SIZE)


def test_nothing_is_left_of_a_finished_upload(server, publisher, interrupt, payload, state_folder):
    interrupt(publisher, payload, 1)
    assert len(journals(state_folder, "*")) == 1
    publisher.store("bucket", "key", payload)
    assert journals(state_folder, "*") == []
    start = len(server.operations)
    publisher.store("bucket", "key", payload)
    assert operations_since(server, start)[0] == "CreateMultipartUpload"


def test_without_a_part_the_upload_is_aborted(server, publisher, interrupt, payload, state_folder):
    interrupt(publisher, payload, 0)
    assert server.operations[-1] == "AbortMultipartUpload"
    assert journals(state_folder) == []


def test_keep_false_aborts_and_does_not_go_on(server, publisher, interrupt, payload, state_folder):
    interrupt(publisher, payload, 2, keep=False)
    assert server.operations[-1] == "AbortMultipartUpload"
    assert journals(state_folder) == []
    interrupt(publisher, payload, 2)
    start = len(server.operations)
    publisher.store("bucket", "key", payload, keep=False)
    assert operations_since(server, start)[0] == "CreateMultipartUpload"


@pytest.mark.parametrize("code", [400, 403])
def test_refused_upload_is_aborted(server, publisher, payload, state_folder, code):
    server.fault("UploadPart", None, answering(code, "Refused"))
    with pytest.raises(ClientError, match="Refused"):
        publisher.store("bucket", "key", payload)
    assert server.operations[-1] == "AbortMultipartUpload"
    assert journals(state_folder) == []


def test_upload_of_a_source_that_has_changed_is_aborted(server, publisher, payload, folder, state_folder):
    def change(exchange):
        path.write_bytes(payload_of(LARGE, seed=1))
        exchange.answer_as_usual()

    path = folder / "payload"
    path.write_bytes(payload_of(LARGE))  # more than is kept in memory
    server.fault("UploadPart", None, change)
    with pytest.raises(ObjectChangedError):
        publisher.store("bucket", "key", path)
    assert server.operations[-1] == "AbortMultipartUpload"
    assert journals(state_folder) == []


# What the store has lost


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("UploadPart", answering(404, "NoSuchUpload")),
        ("CompleteMultipartUpload", answering(404, "NoSuchUpload")),
        ("CompleteMultipartUpload", answering(400, "InvalidPart")),
    ],
)
def test_upload_that_the_store_has_lost_is_begun_anew(server, publisher, interrupt, payload, operation, answer):
    interrupt(publisher, payload, 2)
    server.fault(operation, answer)
    start, counts = len(server.operations), []
    result = publisher.store("bucket", "key", payload, progress=counts.append)
    again = operations_since(server, start)
    again = again[again.index("CreateMultipartUpload"):]
    assert again == ["CreateMultipartUpload", *["UploadPart"] * PARTS, "CompleteMultipartUpload"]
    assert sum(counts) == SIZE
    assert result.resumed_from == 0


def test_upload_that_was_not_begun_earlier_is_not_begun_anew(server, publisher, payload):
    server.fault("UploadPart", answering(404, "NoSuchUpload"))
    with pytest.raises(ClientError, match="NoSuchUpload"):
        publisher.store("bucket", "key", payload)
    assert server.operations.count("CreateMultipartUpload") == 1


def test_lost_bucket_is_said(server, publisher, interrupt, payload):
    interrupt(publisher, payload, 2)
    server.fault("UploadPart", answering(404, "NoSuchBucket"))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        publisher.store("bucket", "key", payload)


# What is not the same


@pytest.mark.parametrize("change", ["content", "part", "arguments"])
def test_other_upload_of_the_key_aborts_the_old_one(server, publisher_at, publisher, interrupt, payload, change):
    interrupt(publisher, payload, 2)
    start = len(server.operations)
    if change == "content":
        publisher.store("bucket", "key", payload_of(SIZE, seed=1))
    elif change == "part":
        halves = TransferConfig(multipart_threshold=1, multipart_chunksize=SIZE // 2)
        publisher_at(server.url, transfer_config=halves).store("bucket", "key", payload)
    else:
        publisher.upload_client.upload_fileobj(
            io.BytesIO(payload), "bucket", "key", ExtraArgs={"ContentType": "x/y"}, Config=ONE_AFTER_THE_OTHER
        )
    assert operations_since(server, start)[:2] == ["AbortMultipartUpload", "CreateMultipartUpload"]
    assert server.operations.count("AbortMultipartUpload") == 1


@pytest.mark.parametrize("names", [("other", "key"), ("bucket", "other")])
def test_uploads_to_other_places_are_left_alone(server, publisher, interrupt, payload, state_folder, names):
    interrupt(publisher, payload, 2)
    start = len(server.operations)
    publisher.store(*names, payload)
    assert "AbortMultipartUpload" not in operations_since(server, start)
    start = len(server.operations)
    publisher.store("bucket", "key", payload)
    assert operations_since(server, start) == [*["UploadPart"] * 2, "CompleteMultipartUpload"]


def damaged(text, number):
    """Return a journal that is damaged in some way."""
    rng = random.Random(number)
    ways = [
        lambda: text[:rng.randrange(len(text))],
        lambda: text[:(at := rng.randrange(len(text)))] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1:],
        lambda: bytes(len(text)),
        lambda: rng.randbytes(len(text)),
        lambda: resealed(text, rng),
    ]
    return ways[number % len(ways)]()


def resealed(text, rng):
    """Return a journal that is not what it was, under a right checksum: another version may have written it."""
    content = json.loads(text.partition(b"\n")[2])
    name = rng.choice(sorted(content))
    if rng.randrange(2):
        del content[name]
    else:
        content[name] = rng.choice([None, -1, 1.5, "", [], {}, [[1]], [["1", 1]], [[PARTS + 1, "x"]], [[0, "x"]], True])
    body = json.dumps(content).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def test_damaged_journal_costs_time_and_nothing_else(moto_manager, moto_bucket, state_folder):
    def progress(count):
        sent.append(count)
        if sum(sent) > SMALLEST_PART:
            raise InterruptedError

    config = TransferConfig(multipart_threshold=1, multipart_chunksize=SMALLEST_PART, max_concurrency=1)
    client, payload = moto_manager.upload_client, payload_of(SMALLEST_PART + 1000)
    for number in range(12):
        sent = []
        with pytest.raises(InterruptedError):
            client.upload_fileobj(payload, moto_bucket, "key", Callback=progress, Config=config)
        for path in journals(state_folder):
            path.write_bytes(damaged(path.read_bytes(), number))
        client.upload_fileobj(payload, moto_bucket, "key", Config=config)
        stored = moto_manager.download_client.get_object(Bucket=moto_bucket, Key="key")["Body"].read()
        assert sha256(stored) == sha256(payload)
        client.delete_object(Bucket=moto_bucket, Key="key")


# Several processes


def test_second_process_waits_and_sends_nothing(server, publisher_at, payload, state_folder, log_lines):
    first, second = (publisher_at(server.url, transfer_config=ONE_AFTER_THE_OTHER) for _ in range(2))
    results = []
    waits = threading.Event()

    def act(exchange):
        assert waits.wait(PATIENCE)
        exchange.answer_as_usual()

    server.fault("UploadPart", act)
    threads = [
        threading.Thread(target=lambda one=one: results.append(one.store("bucket", "key", payload)))
        for one in (first, second)
    ]
    threads[0].start()
    while "UploadPart" not in server.operations:
        time.sleep(0.01)
    threads[1].start()
    while not any("waiting for another process that uploads the same content" in line for line in log_lines()):
        time.sleep(0.01)
    waits.set()
    for thread in threads:
        thread.join()
    assert server.operations == ["CreateMultipartUpload", *["UploadPart"] * PARTS, "CompleteMultipartUpload"]
    assert [(result.skipped, result.transferred) for result in results] == [(False, SIZE), (True, 0)]
    assert results[0].etag == results[1].etag
    assert journals(state_folder, "waiting") == journals(state_folder, "lock") == []


def test_ctrl_c_ends_the_wait_for_another_process(publisher, payload, server, state_folder):
    other = Journal(server.url, "bucket", "key", sha256(payload), {})
    assert other.acquire("bucket/key", time.sleep)
    calls = []

    def progress(_):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publisher.store("bucket", "key", payload, progress=progress)
    assert server.operations == []
    other.release()
    assert journals(state_folder, "lock") == []


def test_upload_of_other_content_that_is_under_way_is_not_aborted(server, publisher, interrupt, payload):
    interrupt(publisher, payload, 2)
    other = Journal(server.url, "bucket", "key", sha256(payload), {})
    assert other.acquire("bucket/key", time.sleep)
    publisher.store("bucket", "key", payload_of(SIZE, seed=1))
    assert "AbortMultipartUpload" not in server.operations
    other.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_child_of_a_fork_does_not_keep_the_lock(server, payload):
    ours = Journal(server.url, "bucket", "key", sha256(payload), {})
    assert ours.acquire("bucket/key", time.sleep)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        ours.release()
        other = Journal(server.url, "bucket", "key", sha256(payload), {})
        assert other.acquire("bucket/key", lambda _: pytest.fail("the child holds the lock"))
        other.release()
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


# CompleteMultipartUpload


def test_complete_of_an_earlier_process_is_given_time(server, publisher_at, payload, log_lines):
    """Two at once have left broken objects."""
    server.fault("CompleteMultipartUpload", losing_the_answer)
    publisher = publisher_at(server.url, transfer_config=ONE_AFTER_THE_OTHER, deadline=2.0)
    with pytest.raises(OutcomeUnknownError):
        publisher.store("bucket", "key", payload)
    asked_at = time.monotonic()
    start = len(server.operations)
    publisher_at(server.url, transfer_config=ONE_AFTER_THE_OTHER).store("bucket", "key", payload)
    assert operations_since(server, start) == ["CompleteMultipartUpload"]
    assert time.monotonic() - asked_at > 1
    assert any("an earlier process asked for CompleteMultipartUpload" in line for line in log_lines())


def test_deadline_during_that_time_leaves_the_outcome_unknown(server, publisher_at, payload):
    server.fault("CompleteMultipartUpload", losing_the_answer)
    publisher = publisher_at(server.url, transfer_config=ONE_AFTER_THE_OTHER, deadline=2.0)
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            publisher.store("bucket", "key", payload)
    assert server.operations.count("CompleteMultipartUpload") == 1
    assert "AbortMultipartUpload" not in server.operations


def test_existing_object_is_not_replaced_by_what_goes_on(server, publisher, interrupt, payload):
    interrupt(publisher, payload, 2, overwrite=False)
    server.fault("CompleteMultipartUpload", answering(412, "PreconditionFailed"))
    with pytest.raises(ObjectExistsError):
        publisher.store("bucket", "key", payload, overwrite=False)
    assert server.operations[-1] == "AbortMultipartUpload"


# Old ones


def make_old(path):
    past = time.time() - journal.WEEK - 60
    os.utime(path, (past, past))


def test_upload_that_nobody_has_gone_on_with_for_a_week_is_aborted(server, publisher, interrupt, payload, state_folder):
    interrupt(publisher, payload, 2)
    (path,) = journals(state_folder)
    make_old(path)
    start = len(server.operations)
    publisher.store("elsewhere", "other", payload_of(SIZE, seed=1))
    assert operations_since(server, start)[:2] == ["AbortMultipartUpload", "CreateMultipartUpload"]
    assert server.requests[start].target.startswith("/bucket/key?")
    assert not path.exists()


def test_abort_that_fails_is_tried_again_later(server, publisher, interrupt, payload, state_folder):
    interrupt(publisher, payload, 2)
    (path,) = journals(state_folder)
    make_old(path)
    server.fault("AbortMultipartUpload", answering(403), None)
    publisher.store("elsewhere", "other", payload_of(SIZE, seed=1))
    assert path.exists()
    publisher.store("elsewhere", "another", payload_of(SIZE, seed=1))
    assert not path.exists()


def test_old_uploads_to_other_hosts_are_left_alone(server, publisher, interrupt, payload, state_folder, moto_manager):
    interrupt(publisher, payload, 2)
    (path,) = journals(state_folder)
    make_old(path)
    moto_manager.upload_client.create_bucket(Bucket="of-another-host")
    moto_manager.store("of-another-host", "key", bytes(2 * SMALLEST_PART))
    assert path.exists()
    assert "AbortMultipartUpload" not in server.operations


# The journal itself


def test_journal_holds_no_secret(publisher, interrupt, payload, state_folder):
    interrupt(publisher, payload, 2)
    text = b"".join(path.read_bytes() for path in state_folder.rglob("*") if path.is_file())
    assert publisher.creds.uploader_access_key.encode() not in text
    assert b"writer" not in text.lower()


def test_upload_with_a_key_of_the_customers_leaves_no_journal(server, publisher, payload, state_folder):
    secret = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    server.fault("UploadPart", None, answering(503))

    def progress(_):
        if server.operations.count("UploadPart") > 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        publisher.upload_client.upload_fileobj(
            payload, "bucket", "key", secret, progress, Config=ONE_AFTER_THE_OTHER
        )
    assert server.operations[-1] == "AbortMultipartUpload"
    assert not state_folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="a file in the place of a directory is another error there")
def test_without_a_state_directory_the_upload_is_aborted_as_with_keep_false(
    server, publisher, interrupt, payload, state_folder
):
    state_folder.parent.mkdir(parents=True)
    state_folder.write_bytes(b"in the way")
    interrupt(publisher, payload, 2)
    assert server.operations[-1] == "AbortMultipartUpload"


def test_journal_is_written_once_a_second_at_most(publisher, payload, monkeypatch, server):
    written = []
    write = type(Records("uploads").of(["x"])).write
    monkeypatch.setattr(
        "cdn_engine.records.Record.write", lambda record, content: (written.append(content), write(record, content))[1]
    )
    monkeypatch.setattr(journal, "_INTERVAL", 3600.0)
    publisher.store("bucket", "key", payload)
    assert [len(content["arrived"]) for content in written] == [0, PARTS, PARTS]


def test_store_is_asked_for_nothing_that_takes_more_than_the_right_to_write(server, publisher, interrupt, payload):
    interrupt(publisher, payload, 2)
    publisher.store("bucket", "key", payload)
    assert set(server.operations) == {"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}


def test_credentials_of_another_region_go_on(server, interrupt, publisher, payload):
    interrupt(publisher, payload, 2)
    creds = CDNCredentials(server.url, None, None, "other", "secret", region="eu-west-1")
    with CDNManager(creds, transfer_config=ONE_AFTER_THE_OTHER) as other:
        assert other.store("bucket", "key", payload).resumed_from == 2 * PART
