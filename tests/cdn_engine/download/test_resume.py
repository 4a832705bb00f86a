"""What the next call makes of an unfinished download."""

from pathlib import Path

import pytest
from objects import payload_of, put, unfinished_files

FIRST = 8 << 20  # bytes that the first request asks for by default


@pytest.fixture
def manager(link, connect):
    """A manager behind a link that is slow until something has been interrupted."""
    link.rate, link.link = None, 16 << 20
    return connect(deadline=None, config=None, parts=None)


def interrupt(_):
    raise KeyboardInterrupt


def test_interrupted_download_resumes_where_it_stopped(link, manager, admin, bucket, folder):
    payload = payload_of(3 * FIRST)
    put(admin, bucket, "object", payload)
    seen = []

    def interrupt_second_request(count):
        seen.append(count)
        if sum(seen) > FIRST:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, "object", progress=interrupt_second_request)
    kept, counts = sum(seen), []
    assert len(unfinished_files(folder)) == 3
    link.link = None
    result = manager.fetch(bucket, "object", progress=counts.append)
    assert result.resumed_from == kept == counts[0]
    assert result.transferred == len(payload) - kept
    assert sum(counts) == len(payload)
    assert (folder / bucket / "object").read_bytes() == payload
    assert unfinished_files(folder) == []


def test_exception_in_progress_leaves_a_resumable_partial(link, manager, admin, bucket):
    put(admin, bucket, "object", payload_of(2 * FIRST))

    def fail(_):
        raise LookupError("a bug in the caller's code")

    with pytest.raises(LookupError):
        manager.fetch(bucket, "object", progress=fail)
    link.link = None
    assert manager.fetch(bucket, "object").resumed_from > 0


def test_bytes_of_an_older_version_are_subtracted_from_the_progress(link, manager, admin, bucket, folder):
    put(admin, bucket, "object", payload_of(2 * FIRST, 1))
    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, "object", progress=interrupt)
    put(admin, bucket, "object", payload_of(2 * FIRST, 2))
    link.link = None
    counts = []
    result = manager.fetch(bucket, "object", progress=counts.append)
    assert counts[0] > 0
    assert min(counts) < 0
    assert sum(counts) == 2 * FIRST
    assert result.resumed_from == 0
    assert (folder / bucket / "object").read_bytes() == payload_of(2 * FIRST, 2)


def test_partial_of_another_key_is_not_resumed(link, manager, admin, bucket):
    for key in ("one", "two"):  # with the same content, and so with the same ETag
        put(admin, bucket, key, payload_of(2 * FIRST))
    with pytest.raises(KeyboardInterrupt):
        manager.fetch(bucket, "one", path="target", progress=interrupt)
    link.link = None
    assert manager.fetch(bucket, "two", path="target").resumed_from == 0
    assert Path("target").read_bytes() == payload_of(2 * FIRST)
