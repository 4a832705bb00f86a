"""Connections, threads and descriptors that cannot be had do not end a download that others carry."""

import errno
import subprocess
import sys
import threading
import time

import fault_proxy as faults
import pytest
from botocore.config import Config
from fault_proxy import Proxy
from local_store import READER
from objects import payload_of, put

from cdn_engine.download.connection import Connection
from cdn_engine.download.span import Span
from cdn_manager import CDNCredentials, CDNManager

SIZE = 24 << 20
RATE = 8 << 20  # bytes a second of each connection, so that more of them pay


@pytest.fixture(scope="module")
def key(admin, bucket):
    put(admin, bucket, "for-many-connections", payload_of(SIZE))
    return "for-many-connections"


@pytest.mark.parametrize(
    "surplus",
    [
        faults.reset_at_once,
        faults.left_unanswered,
        faults.answered_busy("Retry-After: 600"),
        faults.answered_busy("Retry-After: 86400"),
    ],
    ids=["reset", "unanswered", "busy for ten minutes", "busy for a day"],
)
def test_download_goes_on_with_the_connections_that_the_store_takes(surplus, store, bucket, key, folder):
    began = time.monotonic()
    with (
        Proxy(store.url, rate=RATE, most=2, surplus=surplus) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), Config(read_timeout=600)) as manager,
    ):
        assert manager.fetch(bucket, key).verified
        assert proxy.refused > 0
    assert time.monotonic() - began < 300  # and not the 600 s that each of these faults can cost
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)


def connection_of(transferred=0, began=100.0, given_up=0):
    return Connection(Span(0, 1 << 20, began), transferred, given_up)


def test_request_is_given_up_when_its_answer_is_late():
    connection = connection_of()
    assert not connection.cut_if_unanswered(102.9, 3.0)
    assert connection.cut_if_unanswered(103.0, 3.0)
    assert not connection.cut_if_unanswered(104.0, 3.0)


def test_patience_doubles_each_time_that_requests_were_given_up():
    connection = connection_of(given_up=2)
    assert not connection.cut_if_unanswered(111.9, 3.0)
    assert connection.cut_if_unanswered(112.0, 3.0)


def test_request_that_is_being_answered_is_not_given_up():
    connection = connection_of()
    connection.span.answered = True
    assert not connection.cut_if_unanswered(1000.0, 3.0)


def test_only_bytes_of_other_connections_count_as_received_beside():
    connection = connection_of(transferred=500)
    connection.received = 200
    assert not connection.received_beside(700)
    assert connection.received_beside(701)


@pytest.fixture
def thread_limit(monkeypatch):
    """A function that limits how many threads of a download the system allows."""
    start = threading.Thread.start

    def limit(most):
        def limited(thread):
            running = sum(one.name.startswith("cdn-") for one in threading.enumerate())
            if thread.name.startswith("cdn-") and running >= most:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)

    return limit


@pytest.mark.parametrize("most", [1, 3])
def test_download_goes_on_with_the_threads_that_the_system_allows(most, thread_limit, store, bucket, key, folder):
    thread_limit(most)
    with Proxy(store.url, rate=4 * RATE) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        assert manager.fetch(bucket, key).verified
        assert proxy.connections <= most
    assert (folder / bucket / key).read_bytes() == payload_of(SIZE)


def test_download_without_any_thread_says_so(thread_limit, store, bucket, key):
    thread_limit(0)
    with CDNManager(CDNCredentials(store.url, *READER)) as manager:
        with pytest.raises(OSError, match="no further thread") as caught:
            manager.fetch(bucket, key)
        assert caught.value.errno == errno.EAGAIN


_FEW_DESCRIPTORS = """
import os, resource, sys
from cdn_manager import CDNCredentials, CDNManager
url, key, secret, bucket, name, few = sys.argv[1:]
with CDNManager(CDNCredentials(url, key, secret)) as manager:
    manager.fetch(bucket, "small")  # what is opened once is open now
    limit = len(os.listdir("/proc/self/fd")) + int(few)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print(manager.fetch(bucket, name).verified)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("few", [4, 6])
def test_download_goes_on_with_the_descriptors_that_the_system_allows(few, store, admin, bucket, key, folder):
    put(admin, bucket, "small", b"small")
    with Proxy(store.url, rate=RATE) as proxy:
        command = [sys.executable, "-P", "-c", _FEW_DESCRIPTORS, proxy.url, *READER, bucket, key, str(few)]
        child = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert child.stdout == "True\n", child.stderr
