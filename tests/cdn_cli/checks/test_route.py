"""Tests the way to the store: how long it waits."""

import socket
import time

import pytest

from cdn_cli.checks.route import NETWORK_ERRORS, Route


@pytest.mark.portable
def test_answer_has_a_timeout_of_its_own():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        route = Route(f"http://127.0.0.1:{silent.getsockname()[1]}", connect_timeout=100, read_timeout=0.2)
        began = time.monotonic()
        with pytest.raises(NETWORK_ERRORS):
            route.ask(route.connection(), "/")
        assert time.monotonic() - began < 20
