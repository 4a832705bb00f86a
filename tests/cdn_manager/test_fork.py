"""A manager that is used before a fork works in the parent and in the children."""

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from forking_child import OBJECTS, content_of
from local_store import READER, WRITER
from objects import put
from scripted_server import ScriptedServer

from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

CHILD = Path(__file__).parents[1] / "support" / "forking_child.py"


@pytest.fixture
def objects(admin, bucket):
    for number in range(OBJECTS):
        put(admin, bucket, f"object-{number}", content_of(number))
    return bucket


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def run_forking(url, bucket, folder, forks, threads, **environment):
    command = [sys.executable, "-P", CHILD, url, bucket, str(forks), str(threads), *READER, *WRITER]
    ran = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=500
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout[-2000:] + ran.stderr[-2000:]


@pytest.mark.parametrize("threads", [0, 2], ids=["without-threads", "with-threads"])
def test_parent_and_children_transfer_at_once(store, objects, folder, threads):
    run_forking(store.url, objects, folder, 8, threads)


def test_parent_and_children_transfer_at_once_over_tls(store, objects, folder, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as bundle, ScriptedServer(store.url, tls=context, keep_bodies=False) as server:
        # Without threads beside the fork: one may be inside OpenSSL, whose locks a child cannot free.
        run_forking(server.url, objects, folder, 8, 0, AWS_CA_BUNDLE=bundle)


@pytest.mark.parametrize("transfer", ["fetch", "store"])
def test_child_that_is_forked_in_the_middle_of_a_transfer_ends(store, objects, folder, transfer):
    """The threads of the transfer do not exist in the child, which must not wait for them."""
    script = (
        "import os, sys, threading\n"
        "from cdn_manager import CDNCredentials, CDNManager\n"
        "url, transfer, bucket, *keys = sys.argv[1:]\n"
        "manager = CDNManager(CDNCredentials(url, *keys))\n"
        "flowing, forked = threading.Event(), threading.Event()\n"
        "def progress(count):\n"
        "    flowing.set()\n"
        "    forked.wait()\n"
        "def run():\n"
        "    if transfer == 'fetch':\n"
        "        manager.fetch(bucket, 'object-1', path='file', progress=progress)\n"
        "    else:\n"
        "        manager.store(bucket, 'copy', bytes(20 << 20), progress=progress)\n"
        "thread = threading.Thread(target=run)\n"
        "thread.start()\n"
        "flowing.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(0)\n"
        "_, status = os.waitpid(child, 0)\n"
        "forked.set()\n"
        "thread.join()\n"
        "print(status)\n"
    )
    command = [sys.executable, "-P", "-c", script, store.url, transfer, objects, *READER, *WRITER]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


def test_child_uses_connections_of_its_own(folder):
    """And the parent's stay open, also if the child closes the manager."""
    with ScriptedServer() as server, CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as manager:
        manager.store("bucket", "parent", b"abc")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                manager.store("bucket", "child", b"abc")
                manager.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        manager.store("bucket", "parent", b"abc")
    assert [(request.target, request.connection) for request in server.requests] == [
        ("/bucket/parent", 1), ("/bucket/child", 2), ("/bucket/parent", 1),
    ]  # fmt: skip
