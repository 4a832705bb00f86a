"""What a connection brings is written to its place in large pieces, whatever is read, and however long it takes."""

import hashlib
import io
import random
from types import SimpleNamespace

import pytest
from objects import payload_of

from cdn_engine.download.hasher import Hasher
from cdn_engine.download.receiver import Receiver
from cdn_engine.download.settings import BLOCK, Settings
from cdn_engine.download.state import State
from cdn_engine.wire.deadline import Deadline
from cdn_engine.wire.pace import Pace

pytestmark = pytest.mark.portable

SIZE = 5 * BLOCK + 12345


class Body:
    """A body that comes in pieces. While it waits for one, its request pulses."""

    def __init__(self, content, rng, connection):
        self.left = memoryview(content)
        self.rng = rng
        self.connection = connection

    def readinto(self, buffer):
        if self.rng.random() < 0.3:
            self.connection.attempt.pulse()
        count = min(len(buffer), len(self.left), self.rng.choice([1, 1000, 16384, BLOCK]))
        buffer[:count], self.left = self.left[:count], self.left[count:]
        return count


class File(io.FileIO):
    """A file that counts its writes."""

    def __init__(self, path):
        super().__init__(path, "w+")
        self.path = path
        self.writes = 0

    def write(self, block):
        self.writes += 1
        return super().write(block)


class Reader:
    """A partial that hands out handles of the file."""

    final = "final"

    def __init__(self, file):
        self.file = file

    def open(self):
        return io.FileIO(self.file.path)


@pytest.fixture
def file(tmp_path):
    with File(tmp_path / "file") as made:
        yield made


def receive(state, file, content, rng, skip=0):
    connection = state.take(False)
    receiver = Receiver(state, Reader(file), file)
    receiver.attend(connection)
    state.answered(connection)
    receiver.receive(connection, Body(content, rng, connection), skip)
    return connection


@pytest.fixture
def state():
    made = State(Settings(), None, Deadline(None))
    made.plan.resume(SIZE, [])
    made.version.resume('"etag"', None)
    made.tuner.target = 1
    return made


@pytest.mark.parametrize("seed", range(20))
def test_content_is_the_same_however_it_comes(state, file, seed):
    content = payload_of(SIZE, seed)
    connection = receive(state, file, content, random.Random(seed))
    assert file.path.read_bytes() == content
    assert (state.plan.on_disk, state.transferred, connection.written) == (SIZE, SIZE, SIZE)


def test_bytes_that_the_file_has_are_skipped(state, file):
    content = payload_of(SIZE)
    connection = receive(state, file, b"x" * 100_000 + content, random.Random(1), skip=100_000)
    assert file.path.read_bytes() == content
    assert (connection.received, connection.written) == (SIZE + 100_000, SIZE)


def test_small_reads_become_large_writes(state, file):
    content = payload_of(SIZE)
    always = SimpleNamespace(random=lambda: 1.0, choice=lambda _: 16384)
    receive(state, file, content, always)
    assert file.path.read_bytes() == content
    assert file.writes < SIZE / 16384 / 4


@pytest.mark.parametrize("seed", range(10))
def test_digest_of_the_buffers_is_that_of_the_content(state, file, seed):
    content = payload_of(SIZE, seed)
    digest = hashlib.sha256()
    hasher = state.hasher = Hasher(state, Reader(file), digest)
    hasher.start()
    receive(state, file, content, random.Random(seed))
    with state.lock:
        for span in list(state.plan.active):
            state.plan.give_back(span)
    hasher.join(100)
    assert hasher.error is None
    assert digest.digest() == hashlib.sha256(content).digest()


def test_digest_takes_buffers_in_order_only(state, file):
    hasher = Hasher(state, Reader(file), hashlib.sha256())
    buffer = memoryview(bytearray(BLOCK))
    assert hasher.exchange(BLOCK, buffer, BLOCK) is buffer
    assert hasher.exchange(0, buffer, BLOCK) is not buffer
    assert hasher.exchange(0, buffer, BLOCK) is buffer


def test_digest_that_is_given_up_is_not_waited_for(state, file):
    hasher = Hasher(state, Reader(file), hashlib.sha256())
    hasher.start()
    hasher.give_up()
    hasher.join(100)  # though nothing has come
    assert not hasher.is_alive()
    assert hasher.error is None


def test_connection_that_waits_for_a_bandwidth_limit_is_not_judged_by_what_it_delivers(state, file, monkeypatch):
    judged = []
    state.pace = Pace(100_000)
    monkeypatch.setattr(state, "wait", lambda seconds: judged.append(state.connections[0].delivering))
    connection = receive(state, file, payload_of(SIZE), random.Random(1))
    assert judged
    assert not any(judged)  # while the read timeout may pass
    assert connection.delivering
