"""The command on a pseudo-terminal, over a connection slow enough to interrupt a transfer."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

from command import PROGRAM

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

# The command, except that after a signal it waits for its transfers as long as they take.
_PATIENT_PROGRAM = """\
import sys
import cdn_cli
from cdn_cli import direction
for name in ("UPLOAD", "DOWNLOAD", "PUBLISH", "INSTALL"):
    setattr(direction, name, getattr(direction, name)._replace(patience=600))
sys.exit(cdn_cli.main())
"""


class Terminal:
    """The command on a terminal of 24 lines.

    Args:
        arguments: The arguments of the command.
        columns: The width of the terminal.
        patient: Lets transfers take their time to end after a signal, so that a slow machine does not cut them off.

    Attributes:
        screen: Everything written to the terminal so far, without escape sequences.
        end: The file descriptor of the master side.
        process: The running command.
    """

    def __init__(self, *arguments, columns=100, patient=False):
        import fcntl  # these exist on POSIX only
        import pty
        import struct
        import termios

        self._written = b""
        program = [sys.executable, "-P", "-c", _PATIENT_PROGRAM] if patient else [PROGRAM]
        self.end, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        # The size of pytest-xdist's own terminal would count instead.
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment["TERM"] = "xterm"
        self.process = subprocess.Popen(
            [*program, *arguments], stdin=terminal, stdout=terminal, stderr=terminal,
            env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(terminal)

    @property
    def screen(self):
        return _ESCAPE_SEQUENCE.sub("", self._written.decode(errors="replace"))

    def read_until(self, pattern):
        """Read until the screen matches a pattern; return the match."""
        while not (found := re.search(pattern, self.screen)):
            self.read_more(pattern)
        return found

    def read_more(self, pattern="what was waited for"):
        """Read what is written next."""
        assert self.read_new(), f"ended without {pattern!r}: {self.screen}"

    def read_new(self):
        """Wait for what is written next, and return it; nothing once the command has closed its side."""
        try:
            block = os.read(self.end, 1 << 16)
        except OSError:  # the command has closed its side
            block = b""
        self._written += block
        return block

    def press_ctrl_c(self):
        os.write(self.end, b"\x03")

    def wait(self):
        """Read to the end; return the exit status."""
        while self.read_new():
            pass
        os.close(self.end)
        return self.process.wait()


class Relay:
    """A slow connection to a store: each connection carries 64 KiB at a time, then pauses.

    Attributes:
        url: The endpoint to use instead of the store's.
        pause: Seconds between two blocks of a connection.
        flows: Nothing is passed on while this event is cleared.
    """

    def __init__(self, url):
        self.store = urlsplit(url)
        self.pause = 0.01
        self.flows = threading.Event()
        self.flows.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                store = socket.create_connection((self.store.hostname, self.store.port))
                threading.Thread(target=self._pass_on, args=(client, store), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(store, client), daemon=True).start()

    def _pass_on(self, source, target):
        ticker = threading.Event()
        with contextlib.suppress(OSError):
            while block := source.recv(64 << 10):
                self.flows.wait()
                target.sendall(block)
                ticker.wait(self.pause)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.flows.set()
        self.listener.close()
