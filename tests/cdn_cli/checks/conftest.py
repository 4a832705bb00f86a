"""What the tests of the findings share: a store behind a proxy that alters what passes."""

import contextlib

import pytest
from altering_proxy import AlteringProxy, serving
from local_store import READER, WRITER

from cdn_manager import CDNCredentials


@pytest.fixture
def altered_store(moto_url):
    """A function that puts an AlteringProxy in front of the in-process store and returns the credentials for it."""
    with contextlib.ExitStack() as stack:

        def start(**alterations):
            address = stack.enter_context(serving(AlteringProxy(moto_url, **alterations)))
            return CDNCredentials(f"http://{address}", *READER, *WRITER)

        yield start
