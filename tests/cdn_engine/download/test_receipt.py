"""What is remembered of files whose objects carry no digest, and how every change ends it."""

import json
import os
import random
import shutil
import threading

import pytest
from altering_proxy import AlteringProxy, serving
from downloads import OPAQUE, facts
from local_store import READER
from objects import payload_of, put, put_without_digest

from cdn_engine import _disk
from cdn_engine.download import installer, receipt
from cdn_engine.records import seal, unseal
from cdn_manager import CDNCredentials, CDNManager

SMALL = 100_000
LARGE = 20 << 20  # in boto3's parts, and more than one request brings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs st_ctime to be the time of the last change")


def records_in(state_folder):
    return sorted((state_folder / "downloads").glob("*.json"))


def test_object_with_a_digest_is_skipped_by_it_and_not_remembered(admin, bucket, manager, state_folder):
    put(admin, bucket, "object", payload_of(SMALL))
    results = [manager.fetch(bucket, "object") for _ in range(2)]
    assert [facts(result) for result in results] == [(SMALL, False, "sha256"), (0, True, "sha256")]
    assert not records_in(state_folder)


def test_small_file_is_remembered_only_where_no_etag_tells(shop, opaque, state_folder):
    """Comparing it takes less time than a record."""
    put_without_digest(shop.admin, shop.bucket, "object", payload_of(SMALL))
    shop.manager.fetch(shop.bucket, "object")
    assert not records_in(state_folder)
    opaque.put(payload_of(SMALL))
    opaque.fetch()
    assert len(records_in(state_folder)) == 1


# Changes of the file


def restore_times(change):
    """Return a change after which ``st_mtime`` is what it was."""

    def change_in_secret(path):
        before = os.stat(path)
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return change_in_secret


def flip_a_byte(path):
    with open(path, "r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))


def replace(path):
    shutil.copy2(path, "copy")
    flip_a_byte("copy")
    os.replace("copy", path)


CHANGES = {
    "changed": flip_a_byte,
    "changed, with its times restored": restore_times(flip_a_byte),
    "replaced by another, with the same times": restore_times(replace),
    "truncated": restore_times(lambda path: os.truncate(path, SMALL - 1)),
    "longer": restore_times(lambda path: os.truncate(path, SMALL + 1)),
    "removed": os.remove,
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_file_is_fetched_again(change, opaque):
    opaque.put(payload_of(SMALL))
    opaque.fetch()
    CHANGES[change]("file")
    assert facts(opaque.fetch()) == (SMALL, False, None)
    assert facts(opaque.fetch()) == (0, True, None)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_file_is_fetched_again_where_the_etag_tells_too(change, shop):
    put_without_digest(shop.admin, shop.bucket, "object", payload_of(SMALL))
    shop.manager.fetch(shop.bucket, "object", path="file")
    CHANGES[change]("file")
    assert facts(shop.manager.fetch(shop.bucket, "object", path="file")) == (SMALL, False, "md5")


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "long"])
def test_change_in_the_moment_of_the_installation_is_noticed(size, opaque, monkeypatch):
    """Where a sync takes no time, the clock for files may show the same time before and after it."""
    opaque.put(payload_of(size))
    usual, usual_of_one = installer.replace_all, os.replace

    def replace_all_and_change(renames):
        failures = usual(renames)
        flip_a_byte("file")
        return failures

    def replace_and_change(source, name, **options):
        usual_of_one(source, name, **options)
        if name == "file":
            flip_a_byte("file")

    for _ in range(10 if size == SMALL else 3):
        with monkeypatch.context() as patch:
            patch.setattr(_disk, "sync_all", lambda descriptors: [None] * len(descriptors))
            patch.setattr(_disk, "sync", lambda _: None)
            patch.setattr(installer, "replace_all", replace_all_and_change)
            patch.setattr(os, "replace", replace_and_change)
            opaque.fetch()
        assert facts(opaque.fetch()) == (size, False, None)
        with open("file", "rb") as file:
            assert file.read() == payload_of(size)
        os.remove("file")


# Changes at the store


def test_replaced_object_is_fetched_again(shop):
    for seed in range(2):
        put_without_digest(shop.admin, shop.bucket, "object", payload_of(SMALL, seed))
        assert facts(shop.manager.fetch(shop.bucket, "object", path="file")) == (SMALL, False, "md5")
        with open("file", "rb") as file:
            assert file.read() == payload_of(SMALL, seed)


def test_another_object_with_the_same_etag_is_fetched(opaque):
    for key in ("one", "other"):
        opaque.put(payload_of(SMALL, key), key)
        assert facts(opaque.fetch(key)) == (SMALL, False, None)
        with open("file", "rb") as file:
            assert file.read() == payload_of(SMALL, key)


def test_digest_that_the_caller_requires_is_compared_whatever_is_remembered(opaque):
    opaque.put(payload_of(SMALL))
    opaque.fetch()
    with pytest.raises(Exception, match="should have the SHA-256"):
        opaque.manager.fetch(opaque.bucket, "object", path="file", sha256=64 * "0")


# Records


def shapes(content):
    """Yield records of other shapes, as another version or a bug may write them."""
    yield {}
    for name in content:
        yield {key: value for key, value in content.items() if key != name}
        for value in (None, 7, "text", [], [1, 2, 3, 4], {}, {"host": 1}):
            if value != content[name]:
                yield {**content, name: value}
    for index in range(4):
        yield {**content, "file": [*content["file"][:index], "1", *content["file"][index + 1:]]}
        yield {**content, "file": [fact + (place == index) for place, fact in enumerate(content["file"])]}
    yield {**content, "verified_by": "sha256"}
    yield {**content, "another": "member"}


def damages(text):
    """Yield the text of a record as a disk or a full disk may damage it."""
    rng = random.Random(1)
    yield b""
    yield text[:-1]
    yield text + b"\n"
    yield rng.randbytes(len(text))
    for _ in range(20):
        damaged = bytearray(text)
        damaged[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
        yield bytes(damaged)
        yield text[:rng.randrange(len(text))]
    yield json.dumps({"a": 1}).encode()


def broken(text):
    return [*damages(text), *map(seal, shapes(unseal(text)))]


def test_record_that_is_damaged_or_of_another_shape_is_no_record(opaque, state_folder):
    opaque.put(payload_of(1))
    opaque.fetch()
    (record,) = records_in(state_folder)
    count = len(broken(record.read_bytes()))
    assert count > 50
    for index in range(count):
        text = broken(record.read_bytes())[index]  # of another file each time
        record.write_bytes(text)
        assert facts(opaque.fetch()) == (1, False, None), text
        assert facts(opaque.fetch()) == (0, True, None)


def test_state_directory_that_cannot_be_used_costs_transfers_only(opaque, folder, monkeypatch):
    (folder / "a file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "a file"))
    opaque.put(payload_of(SMALL))
    assert [facts(opaque.fetch()) for _ in range(2)] == [(SMALL, False, None)] * 2


@pytest.mark.parametrize("answers", [{"answers_without": ["etag"]}, {"answers_with": {"ETag": f"W/{OPAQUE}"}}])
def test_object_without_a_strong_etag_is_not_remembered(
    answers, moto_url, moto_admin, moto_bucket, folder, state_folder
):
    put_without_digest(moto_admin, moto_bucket, "object", payload_of(SMALL))
    with (
        serving(AlteringProxy(moto_url, **answers)) as address,
        CDNManager(CDNCredentials(f"http://{address}", *READER)) as manager,
    ):
        assert [facts(manager.fetch(moto_bucket, "object")) for _ in range(2)] == [(SMALL, False, None)] * 2
    assert not records_in(state_folder)


def test_file_system_that_keeps_no_nanoseconds_gets_no_record(opaque, state_folder, monkeypatch):
    usual = os.utime

    def in_seconds(path, ns):
        usual(path, ns=tuple(time // 10**9 * 10**9 for time in ns))

    monkeypatch.setattr(os, "utime", in_seconds)
    opaque.put(payload_of(SMALL))
    opaque.fetch()
    assert not records_in(state_folder)


def test_records_that_were_not_used_for_long_are_removed(opaque, state_folder, monkeypatch):
    opaque.put(payload_of(SMALL))
    opaque.fetch()
    (used,) = records_in(state_folder)
    unused = used.with_name("unused.json")
    shutil.copy(used, unused)
    for path in (used, unused):
        os.utime(path, (0, 0))
    opaque.fetch()
    monkeypatch.setattr(receipt, "_cleaning", threading.Lock())  # as in another process
    opaque.manager.fetch(opaque.bucket, "object", path="other")
    assert used.exists()
    assert not unused.exists()


def test_record_holds_no_key_of_the_store(opaque, state_folder):
    opaque.put(payload_of(SMALL))
    opaque.fetch()
    (record,) = records_in(state_folder)
    assert not any(text in record.read_text() for text in READER)
    assert record.stat().st_mode & 0o077 == 0
