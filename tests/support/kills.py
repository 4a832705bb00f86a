"""Kills uploads, and looks at what that costs."""

import subprocess
import sys
import time
from pathlib import Path

from local_store import WRITER

from cdn_engine.records import Records

_CHILD = Path(__file__).parent / "upload_child.py"


class Uploads:
    """Uploads of one file by one process after another, through a server that is as slow as a link.

    Args:
        server: A ``ScriptedServer``.
        bucket: The bucket.
        path: The file.
        source: ``path`` or ``bytes``.
    """

    def __init__(self, server, bucket, path, source):
        self._server, self._bucket = server, bucket
        self._command = [sys.executable, "-P", str(_CHILD), server.url, *WRITER, bucket, "key", str(path), source]

    @property
    def received(self):
        """Bytes of parts that the server has received."""
        return sum(request.received for request in self._server.requests if request.operation == "UploadPart")

    def kill(self, seconds):
        """Begin an upload, and kill it when it has been sending for so long. Return False if it has ended by then."""
        before = self.received
        return self._kill_when(lambda: self.received > before, seconds)

    def kill_with(self, parts):
        """Begin an upload, and kill it when its journal has so many parts."""
        assert self._kill_when(lambda: self.kept() >= parts)

    def kept(self):
        """Return how many parts the journal has."""
        found = [record.read() for record in Records("uploads").about([self._server.url, self._bucket, "key"])]
        return max((len(one.get("arrived", ())) for one in found if one), default=0)

    def _kill_when(self, is_time, seconds=0.0):
        with subprocess.Popen(self._command) as process:
            while not is_time() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(seconds)
            process.kill()
            return process.wait() != 0

    def finish(self):
        """Upload to the end."""
        subprocess.run(self._command, check=True)
