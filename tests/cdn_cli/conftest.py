"""What the tests of the command share: a working directory, a configuration, the keys in a bucket."""

import gc
import logging

import pytest
from command import write_config


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
