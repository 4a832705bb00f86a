"""Downloads from stores whose answers are wrong, incomplete or unusual."""

import random

import fault_proxy as faults
import pytest
from botocore.exceptions import ClientError
from downloads import fetch_with_fault
from fault_proxy import Proxy
from objects import PART, SAMPLE_SIZE, is_whole, presigned
from transient_faults import BAD_ANSWERS

from cdn_manager import NotAStoreError

VERIFIED_BY = {"with-digest": "sha256", "without-digest": "md5"}
KEYS = pytest.mark.parametrize("key", VERIFIED_BY)

# A store that always answers like this can still be used.
QUIRKS = {
    "If-Match refused": faults.refuses_if_match,
    "no ETag": faults.no_etag,
    "weak ETag": faults.weak_etag,
    "no metadata": faults.no_metadata,
    "metadata in another case": faults.shouted_metadata,
    "chunked": faults.chunked,
    "connection closed after each answer": faults.closes,
    "HTTP 1.0": faults.http_1_0,
}


@KEYS
@pytest.mark.parametrize("fault", BAD_ANSWERS)
def test_bad_answer_is_retried(fault, key, link, connect, samples, folder):
    rng = random.Random(f"{fault} {key}")
    result = fetch_with_fault(BAD_ANSWERS[fault], link, connect(), samples, key, rng)
    assert is_whole(folder / samples / key)
    assert result.verified_by == VERIFIED_BY[key]


@pytest.mark.parametrize(
    ("quirk", "key"),
    [("metadata in another case", "with-digest")]
    + [(quirk, key) for quirk in QUIRKS if quirk != "metadata in another case" for key in KEYS.args[1]],
)
def test_quirk_of_a_store_is_tolerated(quirk, key, link, connect, samples, folder):
    link.inject(QUIRKS[quirk]())
    result = connect().fetch(samples, key)
    assert is_whole(folder / samples / key)
    etag = None if quirk in ("no ETag", "weak ETag") else "md5"
    assert result.verified_by == ("sha256" if key == "with-digest" and quirk != "no metadata" else etag)


def test_object_without_etag_and_digest_is_downloaded_as_one_stream(link, connect, samples, folder):
    """Nothing would reveal a mixture of two versions, so a stream that breaks starts again from the beginning."""
    broken = faults.truncated_after(3 * PART, when=lambda request: not request.ranged)
    broken.head = lambda request: request.answer.pop("etag")
    link.inject(broken, faults.no_etag())
    counts = []
    result = connect().fetch(samples, "without-digest", progress=counts.append)
    assert [request.ranged for request in link.gets] == [True, False, False]
    assert result.transferred == 3 * PART + SAMPLE_SIZE
    assert min(counts) < 0
    assert sum(counts) == SAMPLE_SIZE
    assert is_whole(folder / samples / "without-digest")


def test_size_is_asked_for_if_a_chunked_answer_does_not_tell_it(link, connect, admin, samples, folder):
    whole = faults.chunked(whole=True)
    whole.target = presigned(admin, samples, "with-digest")
    link.inject(whole)
    connect().fetch(samples, "with-digest")
    assert is_whole(folder / samples / "with-digest")


def test_store_that_sends_less_than_was_asked_for_is_asked_again(link, connect, samples, folder):
    link.rate = None
    link.inject(faults.slices(60_000))
    connect().fetch(samples, "with-digest")
    assert is_whole(folder / samples / "with-digest")


def test_redirect_to_another_host_is_not_followed(store, link, connect, samples):
    with Proxy(store.url) as elsewhere:
        link.inject(faults.redirects(elsewhere.url))
        with pytest.raises(NotAStoreError, match="redirects to"):
            connect().fetch(samples, "with-digest")
        assert elsewhere.connections == 0


def test_retry_after_a_day_is_a_failure(link, connect, samples):
    link.inject(faults.refuses(503, "Retry-After: 86400", code="SlowDown", times=None))
    with pytest.raises(ClientError, match="SlowDown"):
        connect().fetch(samples, "with-digest")
    assert len(link.gets) == 1
