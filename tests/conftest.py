"""What the tests share: a real store for the whole run, an in-process one, and managers of both."""

import logging
import platform
import signal
import uuid
from pathlib import Path

import boto3
import pytest
from local_store import READER, WRITER, LocalStore, model_file
from moto.server import ThreadedMotoServer

import cdn_manager
from cdn_manager import CDNCredentials, CDNManager


def pytest_sessionstart(session):
    source_tree = Path(__file__).parent.parent
    installed = Path(cdn_manager.__file__)
    if source_tree in installed.parents and ".venv" not in installed.parts:
        raise pytest.UsageError(f"these tests are for the installed wheel, and {installed} is the source tree's")
    # Some tests press Ctrl-C, which is ignored in what a shell runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    ran = sum(len(terminalreporter.stats.get(kind, ())) for kind in ("passed", "failed", "error"))
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for what, figure in report.user_properties:
            terminalreporter.write_line(f"{what:44}{figure}")
    terminalreporter.write_line(f"{ran} tests ran on Python {platform.python_version()} with boto3 {boto3.__version__}")


@pytest.fixture(scope="session")
def store():
    """SeaweedFS: one identity reads, one writes."""
    with LocalStore() as running:
        yield running


@pytest.fixture(scope="session")
def admin(store):
    """A plain boto3 client that may do everything."""
    client = store.admin()
    yield client
    client.close()


@pytest.fixture
def bucket(admin):
    """A new bucket of the real store."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    admin.create_bucket(Bucket=name)
    yield name
    # Each bucket holds volumes of the store, which has a limited number of them.
    for listing in admin.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in listing.get("Contents", ()):
            admin.delete_object(Bucket=name, Key=found["Key"])
    admin.delete_bucket(Bucket=name)


@pytest.fixture
def manager(store, folder):
    """A manager of the real store with both key pairs."""
    with CDNManager(CDNCredentials(store.url, *READER, *WRITER)) as made:
        yield made


@pytest.fixture(scope="session")
def moto_url():
    """An S3 service in this process. It refuses nobody."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def moto_bucket(moto_url):
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    with CDNManager(CDNCredentials(moto_url, *READER, *WRITER)) as anyone:
        anyone.upload_client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def moto_manager(moto_url, folder):
    """A manager of the in-process service with both key pairs."""
    with CDNManager(CDNCredentials(moto_url, *READER, *WRITER)) as made:
        yield made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def log_lines(caplog):
    """A function that returns the lines our logger has written so far."""
    caplog.set_level(logging.DEBUG, logger="cdn_manager")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "cdn_manager"]


@pytest.fixture(scope="session")
def real_model():
    """The 90 MB model file that a package of the registry carries."""
    return model_file()
