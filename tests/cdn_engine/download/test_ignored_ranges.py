"""Downloads from stores that answer a request for a range with the whole object."""

import dataclasses

import fault_proxy as faults
import pytest
from objects import PART, SAMPLE_SIZE, is_whole, presigned

from cdn_engine.wire import retry
from cdn_manager import CDNError


def test_slow_answer_with_the_whole_object_gets_no_connection_beside_it(admin, link, connect, samples, folder):
    link.rate = 3 * PART  # so slow that a store that obeys ranges would be asked for more
    link.inject(faults.ignores_range(presigned(admin, samples, "with-digest")))
    connect(parts=None).fetch(samples, "with-digest")
    assert is_whole(folder / samples / "with-digest")
    assert (len(link.gets), link.bytes_sent) == (1, SAMPLE_SIZE)


@pytest.mark.parametrize("key", ["with-digest", "without-digest"])
def test_whole_object_is_read_from_one_answer(key, admin, link, connect, samples, folder):
    link.inject(faults.ignores_range(presigned(admin, samples, key)))
    connect().fetch(samples, key)
    assert is_whole(folder / samples / key)
    assert link.bytes_sent == SAMPLE_SIZE


def test_broken_answer_is_read_again_up_to_the_missing_bytes(admin, link, connect, samples, folder):
    target = presigned(admin, samples, "with-digest")
    broken = faults.truncated_after(2 * PART)
    broken.target = target
    link.inject(broken, faults.ignores_range(target))
    counts = []
    connect().fetch(samples, "with-digest", progress=counts.append)
    assert is_whole(folder / samples / "with-digest")
    assert sum(counts) == SAMPLE_SIZE


def test_bytes_that_are_read_again_and_again_are_no_progress(admin, link, connect, samples, monkeypatch):
    monkeypatch.setattr(retry, "_LONGEST_DELAY", 0.01)
    target = presigned(admin, samples, "with-digest")
    link.inject(dataclasses.replace(faults.truncated_after(2 * PART), target=target, times=None))
    with pytest.raises(CDNError, match="ended at byte"):
        connect().fetch(samples, "with-digest")
    assert len(link.gets) <= 10


def test_skipping_bytes_for_longer_than_the_read_timeout_is_not_a_stall(admin, link, connect, samples):
    link.rate = 3 * PART
    target = presigned(admin, samples, "with-digest")
    broken = faults.truncated_after(5 * PART)
    broken.target = target
    link.inject(broken, faults.ignores_range(target))
    result = connect().fetch(samples, "with-digest")
    assert len(link.gets) == 2
    assert result.verified


def test_store_may_begin_to_ignore_ranges_during_the_download(admin, link, connect, samples, folder):
    target = presigned(admin, samples, "without-digest")
    link.inject(faults.ignores_range(target, when=lambda _: len(link.gets) > 3))
    connect().fetch(samples, "without-digest")
    assert is_whole(folder / samples / "without-digest")
