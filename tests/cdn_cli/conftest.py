"""What the tests of the command share: a working directory, a configuration, the keys in a bucket."""

import gc
import logging
import signal
import threading

import pytest
from command import write_config

from cdn_cli.batch import Batch
from cdn_cli.progress import CountingDisplay


@pytest.fixture(autouse=True)
def surroundings(folder, monkeypatch):
    """An empty working directory and no CDN_CONFIG; the logger is restored afterwards."""
    monkeypatch.delenv("CDN_CONFIG", raising=False)
    logger = logging.getLogger("cdn_manager")
    handlers, level = logger.handlers, logger.level
    yield
    logger.handlers = handlers
    logger.setLevel(level)
    gc.unfreeze()  # a command in a process of its own ends with it


@pytest.fixture
def config(moto_url):
    """A cdn.yaml for the in-process store in the working directory."""
    write_config(moto_url)


@pytest.fixture
def stored(moto_admin, moto_bucket):
    """A function that stores objects in the bucket of the in-process store, then returns all keys in it."""

    def keys(**added):
        for key, body in added.items():
            moto_admin.put_object(Bucket=moto_bucket, Key=key, Body=body)
        return [entry["Key"] for entry in moto_admin.list_objects_v2(Bucket=moto_bucket).get("Contents", ())]

    return keys


@pytest.fixture
def keys_at_store(admin, bucket):
    """A function that returns the keys in the bucket of the real store."""
    return lambda: [entry["Key"] for entry in admin.list_objects_v2(Bucket=bucket).get("Contents", ())]


@pytest.fixture
def ctrl_c_in(monkeypatch):
    """A function that has Ctrl-C pressed the next time that a transfer enters a phase.

    It returns an event, which is set once the batch knows of it, and not before does the transfer go on.
    """
    enter, interrupt = CountingDisplay.enter, Batch._interrupt

    def prepare(phase):
        pressed, known = threading.Event(), threading.Event()

        def press(display, transfer, name, read):
            enter(display, transfer, name, read)
            if name == phase and not pressed.is_set():
                pressed.set()
                signal.raise_signal(signal.SIGINT)
                assert known.wait(60)

        def take_note(batch, number, frame):
            interrupt(batch, number, frame)
            known.set()

        monkeypatch.setattr(CountingDisplay, "enter", press)
        monkeypatch.setattr(Batch, "_interrupt", take_note)
        return known

    return prepare
