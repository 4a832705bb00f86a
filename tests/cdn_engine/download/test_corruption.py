"""Flipped bits, on the way and on disk."""

import random

import fault_proxy as faults
import pytest
from downloads import interrupt
from objects import PART, SAMPLE_SIZE, flip_bit, is_whole

from cdn_manager import IntegrityError

POSITIONS = {
    "first byte": 0,
    "second byte": 1,
    "last byte of a part": PART - 1,
    "first byte of a part": PART,
    "middle": SAMPLE_SIZE // 2,
    "last byte": SAMPLE_SIZE - 1,
}
SEEDS = pytest.mark.parametrize("seed", range(4), ids="seed {}".format)


@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
def test_bit_flipped_in_transit_is_detected(position, link, connect, samples, folder):
    link.inject(faults.flipped_bit(position))
    manager = connect()
    with pytest.raises(IntegrityError):
        manager.fetch(samples, "with-digest")
    assert not (folder / samples).exists()
    link.faults.clear()
    assert manager.fetch(samples, "with-digest").verified


@SEEDS
def test_bit_flipped_in_the_partial_is_detected(seed, connect, samples, folder):
    manager = connect()
    interrupt(manager, samples, "with-digest", 3 * PART)
    (part,) = (folder / samples).glob(".cdn-*.part")
    flip_bit(part, random.Random(seed).randrange(PART) if seed else 0)
    with pytest.raises(IntegrityError):
        manager.fetch(samples, "with-digest")
    assert list((folder / samples).iterdir()) == []
    assert manager.fetch(samples, "with-digest").verified


@SEEDS
def test_bit_flipped_in_the_journal_is_detected(seed, connect, samples, folder):
    manager = connect()
    interrupt(manager, samples, "with-digest", 3 * PART)
    (journal,) = (folder / samples).glob(".cdn-*.journal")
    flip_bit(journal, random.Random(seed).randrange(journal.stat().st_size))
    result = manager.fetch(samples, "with-digest")
    assert result.resumed_from == 0
    assert is_whole(folder / samples / "with-digest")
