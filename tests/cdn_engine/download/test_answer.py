"""What an answer to a GET says about the object, and whether it is still the same object."""

import pytest

from cdn_engine.download.answer import Answer, Changed, Version, digest_of, strong_etag
from cdn_engine.sha256 import parse_sha256
from cdn_manager import StoreProtocolError

pytestmark = pytest.mark.portable

DIGEST = "a" * 64
OTHER = "b" * 64


def response(status=206, **fields):
    return {"ResponseMetadata": {"HTTPStatusCode": status}, **fields}


def answer(total=100, etag='"e"', sha256=None):
    return Answer(0, 99, total, etag, sha256, None)


def known(pinned=None, **fields):
    version = Version(pinned)
    version.learn(answer(**fields))
    return version


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ContentRange": "bytes 5-9/100", "ContentLength": 5}, (5, 9, 100)),
        ({"ContentRange": "bytes 5-9/*", "ContentLength": 5}, (5, 9, None)),
        ({"status": 200, "ContentLength": 100}, (0, None, 100)),
        ({"status": 200}, (0, None, None)),
        ({"ContentRange": "bytes 0--1/0", "ContentLength": 0}, (0, None, 0)),
        ({"ContentRange": "bytes */0"}, (0, None, 0)),
        ({"status": 200, "ContentRange": "nonsense", "ContentLength": 100}, (0, None, 100)),
    ],
    ids=["range", "range without a total", "whole object", "whole object without a length",
         "empty object", "empty object without a range", "malformed range"],
)
def test_content_range_decides_which_bytes_an_answer_has(fields, expected):
    found = Answer.of(response(**fields))
    assert (found.first, found.last, found.total) == expected


@pytest.mark.parametrize("fields", [{}, {"ContentRange": ""}, {"ContentRange": "bytes */100"}])
def test_part_that_does_not_say_which_is_refused(fields):
    with pytest.raises(StoreProtocolError, match="without saying which"):
        Answer.of(response(**fields))


@pytest.mark.parametrize("name", ["sha256", "SHA256", "Sha256"])
@pytest.mark.parametrize("value", [DIGEST, DIGEST.upper()])
def test_digest_is_found_in_any_letter_case(name, value):
    assert digest_of({"Metadata": {"other": "x", name: value}}) == DIGEST


@pytest.mark.parametrize(
    "metadata", [{}, {"sha256": ""}, {"sha256": "a" * 63}, {"sha256": "g" * 64}, {"sha512": DIGEST}]
)
def test_what_is_not_a_digest_is_ignored(metadata):
    assert digest_of({"Metadata": metadata}) is None


@pytest.mark.parametrize(("etag", "expected"), [('"e"', '"e"'), ('W/"e"', None), ("", None), (None, None)])
def test_only_a_strong_etag_counts(etag, expected):
    assert strong_etag({"ETag": etag}) == expected


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, DIGEST + "a", f" {DIGEST}"])
def test_malformed_digest_of_the_caller_is_refused(sha256):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        parse_sha256(sha256)


def test_digest_of_the_caller_may_have_capital_letters():
    assert parse_sha256(DIGEST.upper()) == DIGEST


def test_same_version_is_accepted():
    known().compare(answer())


@pytest.mark.parametrize(
    "change",
    [{"etag": '"f"'}, {"etag": None}, {"sha256": OTHER}],
    ids=["another ETag", "no ETag", "another digest"],
)
def test_another_version_is_noticed(change):
    with pytest.raises(Changed):
        known(sha256=DIGEST).compare(answer(**{"sha256": DIGEST, **change}))


def test_answer_without_the_digest_is_still_of_the_same_version():
    known(sha256=DIGEST).compare(answer(sha256=None))


def test_digest_may_come_with_a_later_answer():
    version = known()
    version.compare(answer(sha256=DIGEST))
    assert version.sha256 == DIGEST


def test_pinned_digest_stands_above_the_metadata():
    version = known(pinned=OTHER, sha256=DIGEST)
    version.compare(answer(sha256=DIGEST))
    assert version.sha256 == OTHER


def test_pinned_digest_replaces_the_one_of_the_journal():
    version = Version(OTHER)
    version.resume('"e"', DIGEST)
    assert version.sha256 == OTHER


@pytest.mark.parametrize(
    ("etag", "sha256", "expected"), [('"e"', None, True), (None, DIGEST, True), (None, None, False)]
)
def test_version_is_recognizable_by_its_etag_or_digest(etag, sha256, expected):
    assert known(etag=etag, sha256=sha256).recognizable is expected
