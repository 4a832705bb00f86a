"""Threads that end with the call that started them, whenever Ctrl-C comes."""

import os
import threading

import pytest

from cdn_engine import threads

pytestmark = pytest.mark.portable


class Interrupted(threading.Thread):
    """A thread in whose start Ctrl-C comes at the worst moment: between giving up a lock and taking it again."""

    def start(self):
        super().start()
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("release unlocked lock")


class Failing(threading.Thread):
    def start(self):
        raise RuntimeError("can't start new thread")


def test_ctrl_c_while_a_thread_starts_is_a_keyboard_interrupt():
    thread = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        threads.start(thread)
    threads.join([thread])
    assert not thread.is_alive()


def test_ctrl_c_before_the_system_starts_a_thread_leaves_none_behind(monkeypatch):
    begin = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(threads, "_STARTING", 0.01)
    thread = threading.Thread(target=lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(threading, begin, interrupt)
        with pytest.raises(KeyboardInterrupt):
            threads.start(thread)
    threads.join([thread])
    assert thread not in threading.enumerate()


def test_thread_that_cannot_be_started_is_an_error():
    with pytest.raises(RuntimeError, match="can't start new thread"):
        threads.start(Failing())


def test_join_skips_threads_that_were_never_started():
    threads.join([threading.Thread(), threading.Thread()])


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs Linux")
def test_fork_waits_for_the_system_to_end_joined_threads():
    worker = threading.Thread(target=int)
    threads.start(worker)
    threads.join([worker])
    child = os.fork()
    if child == 0:
        os._exit(len(threads._joined))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not os.path.exists(f"/proc/self/task/{worker.native_id}")
