"""What follows work that may wait for the disk: after it, always, and with no thread left."""

import threading

import pytest

from cdn_engine.download.disk_task import DiskTask


def test_what_follows_is_done_now_if_the_thread_has_nothing_else_to_do():
    ending, may_end, alive = threading.Event(), threading.Event(), []

    def ended():
        ending.set()
        may_end.wait(600)

    task = DiskTask(lambda: None, ended)
    task.start()
    assert ending.wait(600)
    threading.Timer(0.05, may_end.set).start()
    task.finally_do(lambda: alive.append(task.is_alive()))
    assert alive[-1] is False


def test_what_follows_is_left_to_the_thread_while_it_works():
    may_end, where = threading.Event(), []
    task = DiskTask(lambda: may_end.wait(600), lambda: None)
    task.start()
    task.finally_do(lambda: where.append(threading.current_thread()))
    assert where == []
    may_end.set()
    task.join(600)
    assert where == [task]


def test_what_follows_can_be_asked_for_again_after_ctrl_c():
    presses, done = [KeyboardInterrupt], []

    def last():
        if presses:
            raise presses.pop()
        done.append(True)

    task = DiskTask(lambda: None, lambda: None)
    task.run()
    with pytest.raises(KeyboardInterrupt):
        task.finally_do(last)
    task.finally_do(last)
    assert done
