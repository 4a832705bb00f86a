"""Measures one client once, in a process of its own."""

import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Modules and names: a new process imports only its own client, because its start is measured as well.
CLIENTS = {
    "ours": ("clients", "Ours"), "limit": ("plain", "Limit"), "minio-py": ("clients", "Minio"),
    "boto3": ("clients", "Boto3"), "bare boto3": ("clients", "BareBoto3"), "obstore": ("clients", "Obstore"),
    "cdn-manager": ("commands", "CdnManager"), "s5cmd": ("commands", "S5cmd"), "rclone": ("commands", "Rclone"),
    "fixed_1": ("plain", "Fixed1"), "fixed_8": ("plain", "Fixed8"), "fixed_16": ("plain", "Fixed16"),
}  # fmt: skip
OURS = ("ours", "cdn-manager")
COMMANDS = ("cdn-manager", "s5cmd", "rclone")
SMALL = 1 << 10  # bytes, of the object before the clock runs
_NOT_INHERITED = ("AWS_", "RCLONE_", "CDN_")


def run_client(client, action, url, environment=None, limit=None, **task):
    """Run one client in a process of its own.

    Args:
        client: One of ``CLIENTS``.
        action: ``get``, ``put``, ``get_all`` or ``put_all``.
        url: The endpoint.
        environment: Variables to set.
        limit: Seconds after which it is killed; None for no limit.
        task: The arguments of ``perform``.

    Returns:
        A dict of ``wall`` and ``cpu``, seconds for one object or folder, and ``memory``, MiB that it grew by; for a
        command, all that it had, or 20 if that is more: the kernel counts the process that starts it.

    Raises:
        subprocess.TimeoutExpired, subprocess.CalledProcessError: It was killed, or failed.
    """
    task |= {"client": client, "action": action, "url": url, "began": time.monotonic()}
    command = [sys.executable, "-P", __file__, json.dumps(task)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    variables = {**inherited, "NO_PROXY": "127.0.0.1", **(environment or {})}
    with subprocess.Popen(command, env=variables, stdout=-1, stderr=-1, text=True, start_new_session=True) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return json.loads(output)


def kind_of(failed):
    """Return the type of the error that ended a client's process. Its words may name folders of this machine."""
    return failed.stderr.strip().rpartition("\n")[2].partition(":")[0]


def perform(
    client, action, url, began, key, path, pair=("reader", "reader-secret"), bucket="bucket", work="default", count=1,
    one_core=False, warm=None, random_bytes=None, fresh=False,
):  # fmt: skip
    """Run a client and return its figures.

    Args:
        client, action, url: As for ``run_client``.
        began: When its process was started, by ``time.monotonic``.
        key: The object, or the prefix of a folder.
        path: The file to write or to read, or the folder. Of several objects, each is written to a file of its own.
        pair: Key and secret.
        bucket: The bucket.
        work: ``DEFAULT``, ``SYNC`` or ``DIGEST``.
        count: How many times.
        one_core: Whether to hold it to one processor.
        warm: Key of a small object to move before; None for none.
        random_bytes: How many bytes to upload, instead of the file.
        fresh: Whether the time counts from the start of the process.
    """
    if one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    source = path if random_bytes is None else _payload(random_bytes)
    module, name = CLIENTS[client]
    move = getattr(getattr(importlib.import_module(module), name)(url, pair), action)
    if warm is not None:
        move(bucket, warm, f"{path}.warm" if action == "get" else bytes(SMALL), work)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak; getrusage would not, and has the parent's as well
    before, used = _memory("VmRSS"), 0.0 if fresh else _cpu()
    began = began if fresh else time.monotonic()
    for number in range(count):
        several = count > 1
        thing = f"{path}.{number}" if several and action == "get" else source
        move(bucket, f"{key}.{number}" if several and action == "put" else key, thing, work)
    wall, cpu = time.monotonic() - began, _cpu() - used
    if client in COMMANDS:
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    else:
        memory = _memory("VmHWM") - before
    return {"wall": round(wall / count, 7), "cpu": round(cpu / count, 7), "memory": round(memory, 1)}


def _payload(size):
    block = 1 << 20
    return os.urandom(block) * (size // block) if size % block == 0 else os.urandom(size)


def _cpu():
    """Return the CPU seconds of this process and of the commands that it has run."""
    usages = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _memory(name):
    """Return a figure of this process's memory in MiB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(perform(**json.loads(sys.argv[1]))))
