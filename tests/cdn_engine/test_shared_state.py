"""What the threads of one transfer share."""

import threading

import pytest

from cdn_engine.shared_state import SharedState

pytestmark = pytest.mark.portable


def test_news_wake_the_calling_thread_and_the_workers():
    state = SharedState()
    happened = threading.Event()

    def work():
        assert state.wait_for(happened.is_set, 60)
        with state.lock:
            state.notify()

    worker = threading.Thread(target=work)
    worker.start()
    with state.lock:
        happened.set()
        state.notify()
    state.wait_for_news(60)
    worker.join()
    state.wait_for_news(60)


def test_waiting_without_news_ends_by_itself():
    state = SharedState()
    state.wait_for_news(0.001)
    assert not state.wait_for(lambda: False, 0.001)
