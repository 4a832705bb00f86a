"""How many connections an upload uses without a caller's ``TransferConfig``."""

import threading

import pytest
from boto3.s3.transfer import TransferConfig
from payloads import SMALLEST_PART
from scripted_server import resetting, slow_until_parts

from cdn_engine import budget
from cdn_engine.budget import CONNECTIONS, Budget
from cdn_engine.tuner import Tuner

pytestmark = [pytest.mark.portable, pytest.mark.usefixtures("long_silence")]


class Lowered:
    """A tuner that wants four connections until so many parts have been asked for, and one from then on."""

    server, parts = None, 4

    def __init__(self, most, now, moved, part):
        self.most, self.target = most, 4
        self.looks = 0
        Lowered.last = self

    def observe(self, now, moved, **_):
        self.looks += 1
        if self.server.operations.count("UploadPart") >= self.parts:
            self.target = 1

    @classmethod
    def wait_for_two_looks(cls):
        looks = cls.last.looks
        while cls.last.looks < looks + 2 and not cls.server.ended.wait(0.001):
            pass


@pytest.fixture
def lowered(server, monkeypatch):
    monkeypatch.setattr(Lowered, "server", server)
    monkeypatch.setattr("cdn_engine.upload.crew.Tuner", Lowered)


@pytest.fixture
def budget_of_its_own(monkeypatch):
    """A budget that no other transfer of this process has a share of."""
    monkeypatch.setattr(budget, "_budget", Budget())
    return budget


def connections_of(server):
    return len({request.connection for request in server.requests if request.operation == "UploadPart"})


@pytest.mark.usefixtures("budget_of_its_own")
def test_more_connections_are_opened_where_each_is_slow(server, publisher):
    server.fault("UploadPart", *[slow_until_parts(CONNECTIONS)] * CONNECTIONS)
    publisher.store("bucket", "key", bytes(2 * CONNECTIONS * SMALLEST_PART))
    assert connections_of(server) == CONNECTIONS


@pytest.mark.usefixtures("lowered")
def test_connections_beyond_a_lower_target_end_after_their_part(server, publisher, monkeypatch):
    monkeypatch.setattr(Lowered, "parts", 8)
    at_once, counts = [], []

    def take_until_the_tuner_has_looked_twice(exchange):
        at_once.append(exchange)
        counts.append(len(at_once))
        Lowered.wait_for_two_looks()
        answer = exchange.carry_out()
        at_once.remove(exchange)
        exchange.answer(*answer)

    server.fault("UploadPart", *[take_until_the_tuner_has_looked_twice] * 16)
    publisher.store("bucket", "key", bytes(16 * SMALLEST_PART))
    assert max(counts) == 4
    assert counts[-4:] == [1] * 4


@pytest.mark.usefixtures("lowered")
def test_connections_beyond_a_lower_target_pause_in_their_part(server, publisher):
    received = []

    def take(exchange):
        for _ in exchange.read_body(1 << 20):
            pass
        while server.operations.count("UploadPart") < 4 and not server.ended.wait(0.001):
            pass
        Lowered.wait_for_two_looks()
        for _ in exchange.read_body():
            pass
        received.append(sorted(one.received for one in server.requests if one.operation == "UploadPart"))
        exchange.answer_as_usual()

    server.fault("UploadPart", *[take] * 4)
    publisher.store("bucket", "key", bytes(8 * SMALLEST_PART))
    assert max(received[0][:3]) < SMALLEST_PART / 2


def test_upload_uses_what_the_budget_has_left(server, publisher, budget_of_its_own):
    others = [budget_of_its_own.enter() for _ in range(3)]
    for share in others:
        share.ask(CONNECTIONS)
    left = threading.Event()

    def take_when_others_have_left(exchange):
        while not left.wait(0.01) and not server.ended.is_set():
            pass
        slow_until_parts(CONNECTIONS)(exchange)

    server.fault("UploadPart", *[take_when_others_have_left] * CONNECTIONS)
    asked_for = []

    def progress(_):
        asked_for.append(server.operations.count("UploadPart"))
        if asked_for[-1] == 4:
            for share in others:
                share.leave()
            left.set()

    publisher.store("bucket", "key", bytes(2 * CONNECTIONS * SMALLEST_PART), progress=progress)
    assert 4 in asked_for
    assert connections_of(server) == CONNECTIONS
    assert others[0].ask(CONNECTIONS) == CONNECTIONS  # the upload has left


@pytest.mark.usefixtures("budget_of_its_own")
def test_callback_can_upload_although_the_budget_is_used_up(server, publisher):
    server.fault("UploadPart", *[slow_until_parts(CONNECTIONS)] * CONNECTIONS)
    inner = []

    def progress(_):
        if not inner and server.operations.count("UploadPart") >= CONNECTIONS:
            inner.append(None)
            inner.append(publisher.store("bucket", "inner", bytes(3 * SMALLEST_PART)))

    publisher.store("bucket", "key", bytes(2 * CONNECTIONS * SMALLEST_PART), progress=progress)
    assert inner[1].size == 3 * SMALLEST_PART


def test_callers_transfer_config_does_not_ask_the_budget(server, publisher_at, budget_of_its_own, once_parts_arrive):
    others = [budget_of_its_own.enter() for _ in range(CONNECTIONS)]
    for share in others:
        share.ask(CONNECTIONS)
    config = TransferConfig(multipart_threshold=1, multipart_chunksize=1 << 20, max_concurrency=3)
    server.fault("UploadPart", *[once_parts_arrive(3)] * 3)
    publisher_at(server.url, transfer_config=config).store("bucket", "key", bytes(6 << 20))
    assert connections_of(server) == 3


def test_bytes_of_broken_requests_are_no_progress_of_the_parts_that_follow(server, publisher, monkeypatch):
    begun = []

    def tuner(most, now, moved, part):
        begun.append(moved)
        return Tuner(most, now, moved, part)

    monkeypatch.setattr("cdn_engine.upload.crew.Tuner", tuner)
    server.fault("PutObject", *[resetting(after=1 << 20)] * 2)
    result = publisher.store("bucket", "key", bytes(SMALLEST_PART))
    assert begun == [result.transferred - SMALLEST_PART]
    assert begun[0] > 0
