"""The modelled link of the tests and benchmarks, with real connections: what it delays, refuses, breaks and counts."""

import contextlib
import hashlib
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import link as link_module
import pytest
from link import Link
from payloads import payload_of

PAYLOAD = payload_of(8 << 20)
PROGRAM = Path(link_module.__file__)
PATIENCE = 60  # seconds


class _Store(socketserver.StreamRequestHandler):
    """Answers ``GET first count`` with that part of the payload, and ``PUT count`` with the digest of what follows."""

    def handle(self):
        while words := self.rfile.readline().split():
            if words[0] == b"GET":
                self.wfile.write(PAYLOAD[int(words[1]) : int(words[1]) + int(words[2])])
            else:
                self.wfile.write(hashlib.sha256(self.rfile.read(int(words[1]))).hexdigest().encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)


@pytest.fixture(scope="module")
def endpoint():
    with _Server(("127.0.0.1", 0), _Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextlib.contextmanager
def connect(link, buffer=None):
    """Connect a client; ``buffer`` is the size of its receive buffer in bytes, None for the system's."""
    host, _, port = link.url.removeprefix("http://").partition(":")
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        if buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.connect((host, int(port)))
        yield client


def receive(client, count):
    received = bytearray()
    while len(received) < count and (data := client.recv(count - len(received))):
        received += data
    return bytes(received)


def get(client, count, first=0):
    client.sendall(b"GET %d %d\n" % (first, count))
    return receive(client, count)


def put(client, data):
    client.sendall(b"PUT %d\n" % len(data) + data)
    return receive(client, 64).decode()


def in_threads(work, count):
    """Call ``work`` with the numbers up to ``count``, side by side. Return what it returned, and the seconds."""
    results = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: work(n)})) for n in range(count)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(count)], time.monotonic() - began


def seconds_of(work, *arguments):
    began = time.monotonic()
    work(*arguments)
    return time.monotonic() - began


CONDITIONS = [
    {},
    {"rtt": 0.02, "rate": 10e6, "slow_start": True},
    {"rtt": 0.01, "shared": 20e6, "jitter": 1.0},
    {"rate": 5e6, "burst": 0.1, "seed": 7},
]


@pytest.mark.parametrize("conditions", CONDITIONS, ids=["none", "slow start", "shared and jitter", "bursts"])
def test_content_passes_unchanged_both_ways(endpoint, conditions):
    size = len(PAYLOAD) // 4

    def work(number):
        part = PAYLOAD[number * size : (number + 1) * size]
        with connect(link) as client:
            return get(client, size, number * size) == part and put(client, part) == hashlib.sha256(part).hexdigest()

    with Link(endpoint, **conditions) as link:
        assert in_threads(work, 4)[0] == [True] * 4
        assert link.bytes_sent == len(PAYLOAD) + 4 * 64
        assert link.connections == 4


def test_first_answer_takes_two_round_trips_and_the_next_ones_take_one(endpoint):
    rtt = 0.1
    with Link(endpoint, rtt=rtt) as link:
        began = time.monotonic()
        with connect(link) as client:
            get(client, 1)
            first = time.monotonic() - began
            others = [seconds_of(get, client, 1) for _ in range(5)]
    assert 2 * rtt <= first < 20 * rtt
    assert rtt <= min(others) < first
    assert max(others) < 10 * rtt


@pytest.mark.parametrize("transfer", [get, put])
def test_connection_has_its_rate_in_each_direction(endpoint, transfer):
    size = 1 << 20

    def work(_):
        with connect(link) as client:
            transfer(client, size if transfer is get else PAYLOAD[:size])

    with Link(endpoint, rate=2e6) as link:
        seconds = in_threads(work, 2)[1]
    assert 0.9 * size / 2e6 < seconds < 10 * size / 2e6


def test_connections_share_a_rate(endpoint):
    def work(_):
        with connect(link) as client:
            return len(get(client, 1 << 20))

    with Link(endpoint, shared=4e6) as link:
        received, seconds = in_threads(work, 3)
    assert 0.9 * sum(received) / 4e6 < seconds < 10 * sum(received) / 4e6


def test_rates_change(endpoint):
    with Link(endpoint, rate=4e6, changes=((0.1, 1e6, None),)) as link, connect(link) as client:
        assert seconds_of(get, client, 1_400_000) > 0.9 * (0.1 + 1.0)


def test_bursts_hold_back_what_the_rate_allows(endpoint):
    """Two lumps are needed: the first comes after its phase, the second a second later."""
    with Link(endpoint, rate=1e5, burst=1.0) as link, connect(link) as client:
        assert seconds_of(get, client, 150_000) > 0.9


def test_surplus_connection_is_reset_and_room_is_made_by_a_client_that_leaves(endpoint):
    with Link(endpoint, most=1) as link:
        with connect(link) as client:
            assert get(client, 10) == PAYLOAD[:10]
            with pytest.raises(ConnectionError), connect(link) as surplus:
                get(surplus, 10)
            assert get(client, 10) == PAYLOAD[:10]
        with connect(link) as client:
            assert get(client, 10) == PAYLOAD[:10]
        assert (link.connections, link.refused) == (2, 1)


def test_surplus_connection_is_not_answered(endpoint):
    with Link(endpoint, most=0, surplus="hang") as link, connect(link) as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            get(client, 10)
        assert (link.connections, link.refused) == (0, 1)


@pytest.mark.parametrize(("after", "field"), [(None, None), (20, b"Retry-After: 20")])
def test_surplus_connection_gets_a_503(endpoint, after, field):
    began = time.monotonic()
    with Link(endpoint, most=0, surplus="503", retry_after=after, rtt=0.05) as link, connect(link) as client:
        head, _, body = get(client, 10_000).partition(b"\r\n\r\n")
        assert time.monotonic() - began >= 2 * 0.05
    status, *fields = head.split(b"\r\n")
    assert status == b"HTTP/1.1 503 Slow Down"
    assert b"Content-Length: %d" % len(body) in fields
    assert [line for line in fields if line.startswith(b"Retry")] == [line for line in (field,) if line]


@pytest.mark.parametrize("rtt", [0.0, 0.05])
def test_connection_is_reset_after_its_bytes(endpoint, rtt):
    limit = len(PAYLOAD) // 2
    with Link(endpoint, reset_every=limit, rtt=rtt) as link:
        for _ in range(2):
            with connect(link) as client:
                assert get(client, 10) == PAYLOAD[:10]
                client.sendall(b"GET 10 %d\n" % len(PAYLOAD))
                assert receive(client, limit - 10) == PAYLOAD[10:limit]
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
        assert link.bytes_sent == 2 * limit


def test_reset_loses_nothing_that_the_client_has_yet_to_read(endpoint):
    with Link(endpoint, reset_every=200_000) as link, connect(link, buffer=16 << 10) as client:
        client.sendall(b"GET 0 300000\n")
        while link.bytes_sent < 200_000:
            time.sleep(0.01)
        assert receive(client, 200_000) == PAYLOAD[:200_000]


def test_one_connection_falls_silent_and_stays_open(endpoint):
    with Link(endpoint, silent=(2, 300_000)) as link, connect(link) as first:
        assert get(first, 10) == PAYLOAD[:10]
        with connect(link) as second:
            second.sendall(b"GET 0 500000\n")
            assert receive(second, 300_000) == PAYLOAD[:300_000]
            second.settimeout(0.3)
            with pytest.raises(TimeoutError):
                second.recv(1)
            assert get(first, 400_000) == PAYLOAD[:400_000]
        with connect(link) as third:
            assert get(third, 400_000) == PAYLOAD[:400_000]


def test_link_carries_no_more_than_a_client_takes(endpoint):
    with Link(endpoint) as link, connect(link, buffer=64 << 10) as client:
        client.sendall(b"GET 0 %d\n" % len(PAYLOAD))
        sent = -1
        while link.bytes_sent > sent:
            sent = link.bytes_sent
            time.sleep(0.3)
        assert 0 < sent < len(PAYLOAD) // 2
        assert receive(client, len(PAYLOAD)) == PAYLOAD


def test_store_that_is_gone_resets_the_client():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Link(f"http://127.0.0.1:{port}") as link, pytest.raises(ConnectionError), connect(link) as client:
        get(client, 10)


def test_program_prints_its_url_and_then_what_has_passed(endpoint):
    conditions = json.dumps({"rtt": 0.02, "changes": [[1, 1e6, None]]})
    with subprocess.Popen([sys.executable, PROGRAM, endpoint, conditions], stdin=-1, stdout=-1, text=True) as program:
        program.url = program.stdout.readline().strip()
        with connect(program) as client:
            get(client, 1000)
            get(client, 1000)
        output, _ = program.communicate()
    said = json.loads(output)
    assert (said["bytes_sent"], said["connections"], said["refused"]) == (2000, 1, 0)
    assert 0 < said["mean_active"] <= 1
    assert said["elapsed"] >= 2 * 0.02
