"""What the tests of releases share."""

import pytest
from release_way import Way
from scripted_server import ScriptedServer


@pytest.fixture
def way(moto_url, moto_admin, moto_bucket, folder):
    with ScriptedServer(moto_url) as server:
        made = Way(server, moto_admin, moto_bucket, folder)
        yield made
        made.close()
