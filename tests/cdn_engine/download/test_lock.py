"""The lock that keeps two downloads of one file apart."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from cdn_engine.download import lock as lock_module
from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target
from cdn_engine.wire.deadline import Deadline
from cdn_manager import DeadlineExceededError

pytestmark = pytest.mark.portable

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs flock or fork")
NO_DEADLINE = Deadline(None)


@pytest.fixture
def make(tmp_path):
    """A function that returns a new partial of the same file, as another thread or process would."""
    made = []

    def make_one():
        made.append(Partial(Target.of(tmp_path / "final")))
        return made[-1]

    yield make_one
    for partial in made:
        partial.unlock()


def cancel():
    raise LookupError


def test_waiting_ends_at_the_deadline(make):
    make().lock(NO_DEADLINE)
    with pytest.raises(DeadlineExceededError, match="final"):
        make().lock(Deadline(0.1))


def test_waiting_can_be_cancelled(make, tmp_path):
    holder = make()
    holder.lock(NO_DEADLINE)
    with pytest.raises(LookupError):
        make().lock(Deadline(600), on_wait=cancel)
    assert os.listdir(tmp_path) == [os.path.basename(holder.lock_path)]


def test_waiting_is_said_once_and_names_the_file(make, log_lines, monkeypatch):
    monkeypatch.setattr(lock_module, "_SILENT", 0.1)
    make().lock(NO_DEADLINE)
    ticks = []

    def cancel_the_third():
        ticks.append(None)
        if len(ticks) == 3:
            raise LookupError

    waiting = make()
    with pytest.raises(LookupError):
        waiting.lock(Deadline(600), cancel_the_third)
    assert log_lines() == [f"waiting for another process that is downloading {waiting.final!r}"]


def test_lock_file_that_was_removed_while_waiting_is_made_again(make):
    holder, waiting = make(), make()
    holder.lock(NO_DEADLINE)
    waiting.lock(Deadline(600), on_wait=holder.unlock)
    assert os.path.exists(waiting.lock_path)
    with pytest.raises(DeadlineExceededError):
        make().lock(Deadline(0.1))


def test_directory_that_was_removed_while_waiting_is_made_again(tmp_path):
    holder, waiting = (Partial(Target.of(tmp_path / "new" / "final")) for _ in range(2))
    holder.lock(NO_DEADLINE)

    def remove():
        holder.unlock()
        shutil.rmtree(tmp_path / "new", ignore_errors=True)

    waiting.lock(Deadline(600), on_wait=remove)
    assert os.path.exists(waiting.lock_path)
    waiting.unlock()
    assert os.listdir(tmp_path) == []


def test_new_directory_is_removed_by_the_last_to_leave(tmp_path):
    first, second = (Partial(Target.of(tmp_path / "new" / name)) for name in ("first", "second"))
    first.lock(NO_DEADLINE)
    second.lock(NO_DEADLINE)
    first.unlock()
    assert os.listdir(tmp_path) == ["new"]
    second.unlock()
    assert os.listdir(tmp_path) == []


def test_lock_can_be_released_twice_and_by_another_thread(make):
    first = make()
    first.lock(NO_DEADLINE)
    releasing = threading.Thread(target=first.unlock)
    releasing.start()
    releasing.join()
    first.unlock()
    second = make()
    second.lock(Deadline(600))
    first.unlock()  # not the other's
    with pytest.raises(DeadlineExceededError):
        make().lock(Deadline(0.1))


def test_only_one_thread_at_a_time_holds_the_lock(make, tmp_path):
    """The lock file is removed while others wait for it; none of them may lock a file that is gone."""
    holders, counts = [], []

    def hold():
        for _ in range(20):
            partial = Partial(Target.of(tmp_path / "new" / "final"))
            partial.lock(Deadline(600))
            holders.append(1)
            counts.append(len(holders))
            holders.pop()
            partial.unlock()

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 80
    assert os.listdir(tmp_path) == []


@posix_only
@pytest.mark.parametrize("code", ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EACCES", "EPERM"])
def test_file_system_without_locks_is_named_and_nothing_is_left(code, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="cannot lock files") as caught:
        Partial(Target.of(tmp_path / "new" / "final")).lock(NO_DEADLINE)
    assert caught.value.errno == getattr(errno, code)
    assert caught.value.filename == str(tmp_path / "new")
    assert os.listdir(tmp_path) == []


@posix_only
def test_ctrl_c_while_the_lock_is_being_released_does_not_keep_it(make, monkeypatch):
    first = make()
    first.lock(NO_DEADLINE)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", interrupt)
        with pytest.raises(KeyboardInterrupt) as caught:
            first.unlock()
    make().lock(Deadline(600))
    assert caught.value.__traceback__ is not None  # at hand, with all that its frames hold


@posix_only
@pytest.mark.parametrize("step", ["_is_free", "unlock"])
def test_ctrl_c_on_the_way_to_the_removal_leaves_no_lock_file(step, make, monkeypatch):
    first = make()
    first.lock(NO_DEADLINE)
    usual, presses = getattr(lock_module, step), [KeyboardInterrupt]

    def interrupted(argument):
        if presses:
            raise presses.pop()
        return usual(argument)

    monkeypatch.setattr(lock_module, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        first.unlock()
    assert not os.path.exists(first.lock_path)
    make().lock(Deadline(600))


@posix_only
def test_ctrl_c_while_waiting_leaves_the_lock_to_its_holder(make, monkeypatch):
    holder, waiting = make(), make()
    holder.lock(NO_DEADLINE)
    with monkeypatch.context() as patched:
        patched.setattr(lock_module.time, "sleep", lambda _: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            waiting.lock(NO_DEADLINE)
    assert os.path.exists(holder.lock_path)
    with pytest.raises(DeadlineExceededError):
        make().lock(Deadline(0.1))


@posix_only
def test_forked_child_that_outlives_its_parent_does_not_keep_the_lock(make, tmp_path):
    """Three processes: this one, one that takes the lock and dies, and the child that it has forked before."""
    script = f"""
import os, sys, time
from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target
from cdn_engine.wire.deadline import Deadline
partial = Partial(Target.of({str(tmp_path / "final")!r}))
partial.lock(Deadline(None))
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("locked", flush=True)
os.kill(os.getpid(), 9)
"""
    read, write = os.pipe()
    with subprocess.Popen([sys.executable, "-P", "-c", script], stdin=read, stdout=subprocess.PIPE) as dying:
        assert dying.stdout.readline() == b"locked\n"
        dying.wait()
        make().lock(Deadline(600))
        os.close(write)  # ends the child
        os.close(read)


@posix_only
def test_forked_child_leaves_the_lock_to_its_parent(make):
    holder = make()
    holder.lock(NO_DEADLINE)
    child = os.fork()
    if child == 0:
        holder.unlock()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.path.exists(holder.lock_path)
    with pytest.raises(DeadlineExceededError):
        make().lock(Deadline(0.1))
