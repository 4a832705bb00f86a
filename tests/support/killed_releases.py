"""Kills processes that publish and install, and reads what is current meanwhile."""

import contextlib
import json
import queue
import signal
import subprocess
import sys
from pathlib import Path

from local_store import READER, WRITER
from scripted_server import ScriptedServer

_SUPPORT = Path(__file__).parent


def start(call, *arguments, url=None, kill_at=None, stops=False, syncs=True, **options):
    """Start a process that calls a function of ``cdn_release``. See ``release_child.py``."""
    order = {"call": call, "arguments": arguments, "options": options, "url": url, "keys": [*READER, *WRITER]}
    order |= {"kill_at": kill_at, "stops": stops, "syncs": syncs}
    command = [sys.executable, _SUPPORT / "release_child.py", json.dumps(order, default=str)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def is_killed(process):
    """Wait until a process has ended. Return True if it was killed, False if it has done its work."""
    with process:
        assert process.wait() in (0, -signal.SIGKILL)
        return process.returncode != 0


def is_killed_after(seconds, process):
    """Kill a process so many seconds from now. Return False if it has done its work by then."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    return is_killed(process)


class KillingStore(ScriptedServer):
    """Passes requests on to a store. One of them kills the client, before the store has it or after."""

    def __init__(self, upstream, **options):
        super().__init__(upstream, keep_bodies=False, **options)
        self._is_fatal = self._after = self._victim = None

    def is_killed_by(self, is_fatal, after, *call, **options):
        """Run a process that dies of the first request that ``is_fatal``.

        Args:
            is_fatal: Takes a request, and the number of those since the process was started, this one included.
            after: True to kill when the store has carried out the request; False if it is not to have it.
            call: As ``start`` takes it.
            options: As ``start`` takes them.

        Returns:
            False if the process has done its work without such a request.
        """
        before = len(self.requests)
        self._after, self._victim = after, queue.SimpleQueue()
        self._is_fatal = lambda request: is_fatal(request, len(self.requests) - before)
        process = start(*call, url=self.url, **options)
        self._victim.put(process)
        return is_killed(process)

    def _take_action(self, operation):
        if self._is_fatal and self._is_fatal(self.requests[-1]):
            self._is_fatal = None
            return self._kill
        return super()._take_action(operation)

    def _kill(self, exchange):
        if self._after:
            exchange.carry_out()
        self._victim.get().kill()
        exchange.reset()


class Reader:
    """A process that reads ``DIR/current`` during the ``with`` block. See ``release_reader.py``."""

    def __init__(self, directory, size):
        self._command = [sys.executable, _SUPPORT / "release_reader.py", str(directory), str(size)]

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.looks()
        return self

    def __exit__(self, *_):
        with self._process:
            self._process.stdin.close()

    def looks(self):
        """Return how often it has looked, by release. From here on, it sees what is current now.

        Raises:
            AssertionError: It has seen what it must not.
        """
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        assert "fault" not in found
        return found
