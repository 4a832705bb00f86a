"""Downloads whose final name is already taken: by the object's file, by another one, or by a directory."""

import os
import signal
import time

import pytest
from fault_proxy import Proxy
from local_store import READER
from objects import PART, origin_of, payload_of, put

from cdn_engine.download.remote import RemoteObject
from cdn_manager import CDNCredentials, CDNManager, DeadlineExceededError


def test_unchanged_object_is_not_downloaded_again(store, admin, bucket, folder):
    payload = payload_of(3 * PART)
    put(admin, bucket, "object", payload)
    with Proxy(store.url) as proxy, CDNManager(CDNCredentials(proxy.url, *READER)) as manager:
        manager.fetch(bucket, "object")
        before, counts = proxy.bytes_sent, []
        result = manager.fetch(bucket, "object", progress=counts.append)
        assert proxy.bytes_sent == before
    assert (result.transferred, result.verified, sum(counts)) == (0, True, len(payload))


def test_head_without_a_length_is_enough(admin, bucket, manager, folder, monkeypatch):
    """Some stores leave it out; the digest tells."""
    put(admin, bucket, "object", payload_of(PART))
    manager.fetch(bucket, "object")
    head = RemoteObject.head

    def head_without_length(*arguments):
        answer = head(*arguments)
        del answer["ContentLength"]
        return answer

    monkeypatch.setattr(RemoteObject, "head", head_without_length)
    result = manager.fetch(bucket, "object")
    assert (result.size, result.transferred, result.verified) == (PART, 0, True)


def test_changed_object_is_downloaded_again(admin, bucket, manager, folder):
    put(admin, bucket, "object", payload_of(PART, 1))
    manager.fetch(bucket, "object")
    put(admin, bucket, "object", payload_of(PART, 2))
    assert manager.fetch(bucket, "object").transferred == PART
    assert (folder / bucket / "object").read_bytes() == payload_of(PART, 2)


def test_damaged_file_is_replaced(admin, bucket, manager, folder):
    put(admin, bucket, "object", payload_of(PART))
    (folder / bucket).mkdir()
    (folder / bucket / "object").write_bytes(bytes(PART))
    manager.fetch(bucket, "object")
    assert (folder / bucket / "object").read_bytes() == payload_of(PART)


@pytest.fixture
def ctrl_c_by_cpu_time():
    """A function that presses Ctrl-C when this process has used so many more seconds of CPU time."""
    before = signal.signal(signal.SIGPROF, signal.default_int_handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@pytest.mark.skipif(os.name == "nt", reason="needs the timers of POSIX")
@pytest.mark.parametrize("error", [DeadlineExceededError, KeyboardInterrupt], ids=["deadline", "Ctrl-C"])
def test_hashing_an_existing_file_can_be_interrupted(error, folder, ctrl_c_by_cpu_time):
    with open("target", "wb") as file:
        file.truncate(24 << 30)
    deadline = 0.5 if error is DeadlineExceededError else None
    with (
        origin_of("target") as url,
        Proxy(url) as proxy,
        CDNManager(CDNCredentials(proxy.url, *READER), deadline=deadline) as manager,
    ):
        began = time.process_time()
        if error is KeyboardInterrupt:
            ctrl_c_by_cpu_time(0.5)  # late enough to be during the hashing
        with pytest.raises(error):
            manager.fetch("bucket", "key", path="target", sha256="0" * 64)
        assert time.process_time() - began < 5  # the whole file takes more than 12
        assert [request.method for request in proxy.requests] == ["HEAD"]


def test_directory_under_the_final_name_is_reported(admin, bucket, manager, folder):
    put(admin, bucket, "object", b"payload")
    (folder / bucket / "object").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        manager.fetch(bucket, "object")
