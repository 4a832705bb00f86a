"""The journal of an unfinished download, and what is not taken for one."""

import hashlib
import json
import os

import pytest

from cdn_engine.download.folder import Folder
from cdn_engine.download.journal import Journal, Record
from cdn_engine.paths import Target

pytestmark = pytest.mark.portable

RECORD = Record({"host": "h", "bucket": "b", "key": "k"}, 9, '"etag"', None, [(0, 4), (5, 9)])


@pytest.fixture
def journal(tmp_path):
    folder = Folder(Target.of(tmp_path / "final"))
    folder.enter()
    yield Journal(folder, "journal")
    folder.leave()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def sealed(state):
    """Return a journal's content whose checksum is right."""
    body = state if isinstance(state, bytes) else json.dumps(state).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def state_with(**changes):
    return {"journal": 1, **RECORD._asdict(), **changes}


def state_without(name):
    return {key: value for key, value in state_with().items() if key != name}


def test_journal_returns_what_was_written(journal):
    journal.write(RECORD)
    assert journal.read() == RECORD


def test_journal_with_any_single_bit_flipped_is_ignored(journal, path):
    journal.write(RECORD)
    content = path.read_bytes()
    for position in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert journal.read() is None
    path.write_bytes(content)
    assert journal.read() == RECORD


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 100], ids="{} bytes".format)
def test_truncated_journal_is_ignored(length, journal, path):
    journal.write(RECORD)
    os.truncate(path, length)
    assert journal.read() is None


WRONG = {
    "another version": state_with(journal=2),
    "no version": state_without("journal"),
    "a list": [1],
    "a number": 1,
    "no JSON": b"{",
    "no UTF-8": b"\xff",
    "nested too deeply": b"[" * 200_000 + b"]" * 200_000,
    "too many digits": b'{"journal": 1' + b"0" * 5000 + b"}",
    **{f"no {name}": state_without(name) for name in Record._fields},
    "an unknown field": state_with(more=1),
    "identity: text": state_with(identity="h"),
    "size: float": state_with(size=9.0),
    "size: not a number": state_with(size=float("nan")),
    "size: true": state_with(size=True, finished=[]),
    "size: negative": state_with(size=-1, finished=[]),
    "size: null": state_with(size=None),
    "etag: number": state_with(etag=5),
    "sha256: number": state_with(sha256=5),
    "neither etag nor sha256": state_with(etag=None),
    "finished: null": state_with(finished=None),
    "finished: a number": state_with(finished=1),
    "finished: text": state_with(finished=["ab"]),
    "finished: floats": state_with(finished=[[0, 4.5]]),
    "finished: three edges": state_with(finished=[[0, 4, 5]]),
    "finished: negative": state_with(finished=[[-5, 4]]),
    "finished: reversed": state_with(finished=[[4, 0]]),
    "finished: empty range": state_with(finished=[[4, 4]]),
    "finished: overlapping": state_with(finished=[[0, 4], [3, 9]]),
    "finished: out of order": state_with(finished=[[5, 9], [0, 4]]),
    "finished: beyond the size": state_with(finished=[[0, 10]]),
    "finished: huge": state_with(finished=[[0, 10**4000]]),
}


@pytest.mark.parametrize("state", WRONG.values(), ids=WRONG)
def test_journal_of_the_wrong_shape_is_ignored(state, journal, path):
    path.write_bytes(sealed(state))
    assert journal.read() is None


def test_journal_of_the_right_shape_is_read(journal, path):
    """The same way of writing as above, so that no journal there is ignored for another reason."""
    path.write_bytes(sealed(state_with()))
    assert journal.read() == RECORD
