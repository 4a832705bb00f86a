"""ETags that are made of MD5s, by the rule of S3, whatever the size of the parts."""

import hashlib
import random

import pytest
from objects import payload_of

from cdn_engine.download.md5 import ETagHash, hashes_of, is_made_of, parts_of

pytestmark = pytest.mark.portable

MIB = 1 << 20


def md5(content):
    return hashlib.md5(content, usedforsecurity=False)


def etag_of(content, part):
    """Return the ETag that S3 gives an object that was stored in parts."""
    digests = [md5(content[start:start + part]).digest() for start in range(0, len(content), part)]
    return f'"{md5(b"".join(digests)).hexdigest()}-{len(digests)}"'


def matches(etag, part, content, rng):
    found = ETagHash(etag.strip('"'), part)
    rest = memoryview(content)
    while rest:
        count = rng.randrange(1, 3000)
        found.update(rest[:count])
        rest = rest[count:]
    return found.matches()


@pytest.mark.parametrize("seed", range(50))
def test_content_matches_its_etag_and_no_other(seed):
    rng = random.Random(seed)
    part = rng.randrange(1, 5000)
    content = rng.randbytes(part * rng.randrange(1, 5) + rng.choice([0, 0, 1, part - 1]))
    etag = etag_of(content, part)
    assert matches(etag, part, content, rng)
    assert not matches(etag, part + 1, content, rng) or len(content) <= part
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1
    assert not matches(etag, part, damaged, rng)


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_etag_of_an_object_in_one_piece(size):
    content = memoryview(payload_of(size))
    etag = f'"{md5(content).hexdigest()}"'
    assert is_made_of(etag, content)
    assert is_made_of(etag.strip('"'), content)
    assert not is_made_of(etag, memoryview(b"something else"))


@pytest.mark.parametrize(
    ("part", "size"),
    [(8 * MIB, 20 * MIB), (5 * MIB, 20 * MIB), (16 * MIB, 20 * MIB), (6_500_000, 3 * 6_500_000)],
    ids=["8 MiB", "5 MiB", "16 MiB", "equal parts"],
)
def test_etag_of_an_object_in_parts_of_a_usual_size(part, size):
    content = memoryview(payload_of(MIB, part) * 20)[:size]
    assert is_made_of(etag_of(content, part), content)


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (20 * MIB, 8 * MIB),  # boto3, aws-cli
        (9 * MIB, 8 * MIB),
        (16 * MIB, 8 * MIB),  # a last part that is full
        (100_000 * MIB, 16 * MIB),  # the same, for more than 10,000 parts of 8 MiB
        (60_000 * MIB + 1, 7 * MIB),  # rclone, which takes the next whole MiB then
        (200 * MIB, 15 * MIB),  # s3cmd
        (1000 * MIB, 128 * MIB),
        (90_000_001, 5_625_001),  # our own: 16 equal ones
    ],
)
def test_parts_of_the_usual_clients_are_tried(size, part):
    assert part in parts_of(size, -(-size // part))


def test_parts_of_boto3_are_tried_first_while_they_fit():
    assert parts_of(20 * MIB, 3)[0] == 8 * MIB
    assert parts_of(20 * MIB, None) == [None]
    assert len(parts_of(MIB, 1)) == 1  # all sizes mean the same


@pytest.mark.parametrize(
    "etag",
    [None, "", '"etag"', f'W/"{32 * "a"}"', f'"{31 * "a"}"', f'"{32 * "g"}"', f'"{32 * "a"}-"', f'"{32 * "a"}-0"',
     f'"{32 * "a"}-100000"', f'"{32 * "a"}-3-3"', f'"{32 * "a"}"\n'],
)  # fmt: skip
def test_etag_of_another_make_says_nothing(etag):
    assert hashes_of(etag, 20 * MIB) == []


def test_number_of_parts_that_no_usual_size_gives_is_tried_as_equal_parts():
    assert parts_of(1000, 10) == [100]


def test_python_without_md5_verifies_nothing(monkeypatch):
    def refuse(**_):
        raise ValueError("disabled for FIPS")

    monkeypatch.setattr("hashlib.md5", refuse)
    assert hashes_of(32 * "a", 1) == []
