"""A bucket with two samples, and managers behind a link that tests can slow down or inject faults into."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from altering_proxy import AlteringProxy, serving
from downloads import IMPATIENT, OPAQUE, PARTS
from fault_proxy import Proxy
from local_store import READER
from objects import SAMPLE_SIZE, payload_of, put, put_without_digest

from cdn_manager import CDNCredentials, CDNManager


@pytest.fixture(scope="session")
def bucket(admin):
    """One bucket for all tests; each of them downloads to a folder of its own."""
    admin.create_bucket(Bucket="downloads")
    return "downloads"


@pytest.fixture(scope="session")
def samples(admin, bucket):
    """The bucket, with the same content under ``with-digest`` and ``without-digest``."""
    put(admin, bucket, "with-digest", payload_of(SAMPLE_SIZE))
    put_without_digest(admin, bucket, "without-digest", payload_of(SAMPLE_SIZE))
    return bucket


@pytest.fixture
def link(store):
    """A link slow enough for several connections to be opened."""
    with Proxy(store.url, rate=24 << 20) as proxy:
        yield proxy


@pytest.fixture
def connect(link, folder):
    """A function that returns a manager behind ``link``."""
    with contextlib.ExitStack() as managers:
        yield lambda deadline=100, config=IMPATIENT, parts=PARTS: managers.enter_context(
            CDNManager(CDNCredentials(link.url, *READER), config, parts, deadline)
        )


@pytest.fixture
def open_folder():
    """A folder that other users can reach, unlike pytest's own."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["SeaweedFS", "moto"])
def shop(request):
    """A store with a bucket: a client that is allowed everything, and a manager."""
    prefix = "moto_" if request.param == "moto" else ""
    names = ("admin", "bucket", "manager")
    return SimpleNamespace(**{name: request.getfixturevalue(prefix + name) for name in names})


@pytest.fixture
def opaque(moto_url, moto_admin, moto_bucket, folder):
    """A store whose ETags are no MD5s: a bucket, a manager, and functions that store and fetch an object."""
    with (
        serving(AlteringProxy(moto_url, answers_with={"ETag": OPAQUE})) as address,
        CDNManager(CDNCredentials(f"http://{address}", *READER)) as manager,
    ):
        yield SimpleNamespace(
            bucket=moto_bucket,
            manager=manager,
            put=lambda content, key="object": put_without_digest(moto_admin, moto_bucket, key, content),
            fetch=lambda key="object": manager.fetch(moto_bucket, key, path="file"),
        )
