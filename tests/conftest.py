"""Fixtures for all tests: a real store for the whole run, an in-process one, and managers for both."""

import gc
import importlib.util
import logging
import platform
import signal
import uuid
from pathlib import Path

import boto3
import pytest
from local_store import READER, WRITER, LocalStore, admin_client, model_file
from moto.server import ThreadedMotoServer


def pytest_addoption(parser):
    parser.addoption("--first", action="store_true", help="run each test with the first of its parameters only")


@pytest.hookimpl(trylast=True)  # when those that the marks leave out are gone
def pytest_collection_modifyitems(config, items):
    if config.getoption("--first"):
        first = {}
        for item in items:
            first.setdefault((item.path, item.cls, item.originalname), item)
        items[:] = first.values()


def pytest_sessionstart(session):
    source_tree = Path(__file__).parent.parent
    for name in ("cdn_manager", "cdn_engine"):
        found = importlib.util.find_spec(name)
        if found is None:
            raise pytest.UsageError(f"the tests need the installed wheel, but there is no {name}")
        if source_tree in Path(found.origin).parents and ".venv" not in Path(found.origin).parts:
            raise pytest.UsageError(f"the tests need the installed wheel, not {found.origin}: python -P -m pytest")
    # Some tests press Ctrl-C, which a shell makes its background jobs ignore, or hang up, which nohup ignores.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish():
    """Leave out of garbage collections what all tests have in common: they would take a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_runtest_call():
    gc.callbacks.clear()  # hypothesis adds one, in which a Ctrl-C would be lost


def pytest_terminal_summary(terminalreporter):
    ran = sum(len(terminalreporter.stats.get(kind, ())) for kind in ("passed", "failed", "error"))
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for what, figure in report.user_properties:
            terminalreporter.write_line(f"{what:44}{figure}")
    terminalreporter.write_line(f"{ran} tests ran on Python {platform.python_version()} with boto3 {boto3.__version__}")


def _manager(url):
    """Return a manager with both key pairs."""
    from cdn_manager import CDNCredentials, CDNManager  # not before the check of where it comes from

    return CDNManager(CDNCredentials(url, *READER, *WRITER))


@pytest.fixture(scope="session")
def store():
    """SeaweedFS, with one identity that can read and one that can write."""
    with LocalStore() as running:
        yield running


@pytest.fixture(scope="session")
def admin(store):
    """A plain boto3 client of the real store that is allowed everything."""
    client = store.admin()
    yield client
    client.close()


@pytest.fixture
def bucket(admin):
    """A new bucket in the real store."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    admin.create_bucket(Bucket=name)
    yield name
    # Each bucket occupies volumes, of which the store has a limited number.
    for listing in admin.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in listing.get("Contents", ()):
            admin.delete_object(Bucket=name, Key=found["Key"])
    admin.delete_bucket(Bucket=name)


@pytest.fixture
def manager(store, folder):
    """A manager for the real store, with both key pairs."""
    with _manager(store.url) as made:
        yield made


@pytest.fixture(scope="session")
def moto_url():
    """moto, an S3 server in this process. It checks no credentials."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def moto_admin(moto_url):
    """A plain boto3 client of the in-process server."""
    client = admin_client(moto_url)
    yield client
    client.close()


@pytest.fixture
def moto_bucket(moto_admin):
    """A new bucket in the in-process server."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    moto_admin.create_bucket(Bucket=name)
    return name


@pytest.fixture
def moto_manager(moto_url, folder):
    """A manager for the in-process server, with both key pairs."""
    with _manager(moto_url) as made:
        yield made


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory, monkeypatch):
    """The state directory of this test, and of the processes that it starts."""
    path = tmp_path_factory.getbasetemp() / f"state-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("XDG_STATE_HOME", str(path))
    return path / "cdn-manager"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty directory, made the working directory."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def log_lines(caplog):
    """A function that returns the lines that our logger has written so far."""
    caplog.set_level(logging.DEBUG, logger="cdn_manager")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "cdn_manager"]


@pytest.fixture(scope="session")
def real_model():
    """A real 90 MB model file, from a package on the registry."""
    return model_file()
