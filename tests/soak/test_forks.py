"""A thousand forks of a process that transfers in two threads, with transfers in every child."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from forking_child import OBJECTS, content_of
from local_store import READER, WRITER
from objects import put

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

CHILD = Path(__file__).parents[1] / "support" / "forking_child.py"


def test_thousand_forks(store, admin, bucket, folder, record_property):
    for number in range(OBJECTS):
        put(admin, bucket, f"object-{number}", content_of(number))
    command = [sys.executable, "-P", CHILD, store.url, bucket, "1000", "1", *READER, *WRITER]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3000)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout[-2000:] + ran.stderr[-2000:]
    record_property("forked: children, all right", "1000")
