"""Shows how the transfers of a batch are getting on."""

import json
import sys
import threading
import time

from cdn_errors import explain

__all__ = ["Display", "choose", "printable", "size_text"]

_INTERVAL = 10.0  # seconds between two lines where there is no terminal
_NAME_WIDTH = 32  # characters of a bar's name, which leave room for the rest in a line of 100


def choose(options, bucket, transfers):
    """Return the display that fits the options and the terminal, as a context manager.

    Args:
        options: The parsed arguments.
        bucket: The bucket.
        transfers: All transfers of the batch.
    """
    if options.json:
        return _Json(bucket)
    if options.quiet:
        return Display()
    if sys.stderr.isatty():
        try:
            from rich.console import Console
        except ImportError:
            pass  # rich is not installed
        else:
            console = Console(stderr=True)
            if not console.is_dumb_terminal:  # it could not move the cursor
                return _Bars(transfers, options.verbose, console)
    return _Lines(transfers, options.verbose)


def printable(text):
    """Return a text from the network or the file system as one that cannot command a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def size_text(count):
    """Return a number of bytes for people: ``90.9 MB``."""
    if count < 1000:
        return "1 byte" if count == 1 else f"{count} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


class Display:
    """Shows nothing. ``begin``, ``expect``, ``resume`` and ``advance`` are called in the threads of the pool."""

    wants_sizes = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, transfer):
        """A transfer begins."""

    def expect(self, transfer, size):
        """It turns out what a transfer's size is; None if that cannot be told."""

    def resume(self, transfer, count):
        """The bytes of an earlier call are there."""

    def advance(self, transfer, count):
        """More bytes are there."""

    def finish(self, transfer, result, seconds):
        """A transfer has succeeded."""

    def fail(self, transfer, error):
        """A transfer has failed."""

    def tick(self):
        """A moment has passed."""


class _Json(Display):
    """Writes one object a line for each transfer that has ended."""

    def __init__(self, bucket):
        self.bucket = bucket

    def finish(self, transfer, result, seconds):
        event = {"event": "done", "path": transfer.path, **result._asdict(), "seconds": round(seconds, 3)}
        print(json.dumps(event), flush=True)

    def fail(self, transfer, error):
        event = {"event": "failed", "bucket": self.bucket, "key": transfer.key, "path": transfer.path,
                 "error": type(error).__name__, "reason": explain(error)}  # fmt: skip
        print(json.dumps(event), flush=True)


class _Lines(Display):
    """Writes a line now and then."""

    def __init__(self, transfers, verbose):
        self.verbose = verbose
        self.count = len(transfers)
        self.unknown = {transfer for transfer in transfers if transfer.size is None}
        self.known = sum(transfer.size or 0 for transfer in transfers)
        self.ended = 0
        self.lock = threading.RLock()
        self.bytes = 0
        self.resumed = 0
        self.began = self.said_at = time.monotonic()

    @property
    def total(self):
        """How many bytes there are in all; None while the size of a transfer is not known."""
        return None if self.unknown else self.known

    def expect(self, transfer, size):
        with self.lock:
            if transfer in self.unknown and size is not None:
                self.unknown.remove(transfer)
                self.known += size

    def resume(self, transfer, count):
        with self.lock:
            self.bytes += count
            self.resumed += count

    def advance(self, transfer, count):
        with self.lock:
            self.bytes += count

    def finish(self, transfer, result, seconds):
        self.ended += 1
        self.expect(transfer, result.size)
        if self.verbose:
            resumed = f", {size_text(result.resumed_from)} of them resumed" if result.resumed_from else ""
            print(f"{printable(transfer.key)}: {size_text(result.size)} in {seconds:.1f} s{resumed}")
        self.tick()

    def fail(self, transfer, error):
        self.ended += 1
        self.expect(transfer, 0)
        self.tick()

    def tick(self):
        now = time.monotonic()
        if now - self.said_at < _INTERVAL:
            return
        self.said_at = now
        rate = (self.bytes - self.resumed) / (now - self.began)
        of_total = left = ""
        total = self.total
        if total is not None:
            of_total = f" of {size_text(total)}"
            if rate > 0:
                minutes, seconds = divmod(int((total - self.bytes) / rate), 60)
                left = f", {minutes}:{seconds:02} left"
        print(
            f"{self.ended} of {self.count} files, {size_text(self.bytes)}{of_total}, {size_text(int(rate))}/s{left}",
            file=sys.stderr,
            flush=True,
        )


class _Bars(_Lines):
    """Draws a bar for each running transfer, and one for all of them."""

    wants_sizes = True

    def __init__(self, transfers, verbose, console):
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        super().__init__(transfers, verbose)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self.all = self.progress.add_task(self._in_all(), total=self.total, note="", visible=self.count > 1)
        self.bars = {}

    def __enter__(self):
        self.progress.start()
        return self

    def __exit__(self, *_):
        self.progress.stop()

    def _in_all(self):
        return f"{self.ended} of {self.count} files"

    def begin(self, transfer):
        name = printable(transfer.key)
        if len(name) > _NAME_WIDTH:
            name = f"…{name[1 - _NAME_WIDTH:]}"
        self.bars[transfer] = self.progress.add_task(name, total=transfer.size, note="")

    def expect(self, transfer, size):
        super().expect(transfer, size)
        self.progress.update(self.bars[transfer], total=size)
        self._update_all()

    def resume(self, transfer, count):
        with self.lock:
            super().resume(transfer, count)
            # Set anew, so that these bytes do not count for the speed.
            self.progress.reset(self.bars[transfer], completed=count, note=f"{size_text(count)} resumed")
            self.progress.reset(self.all, completed=self.bytes)

    def advance(self, transfer, count):
        with self.lock:
            super().advance(transfer, count)
            self.progress.advance(self.bars[transfer], count)
            self.progress.advance(self.all, count)

    def finish(self, transfer, result, seconds):
        super().finish(transfer, result, seconds)
        self._remove(transfer)

    def fail(self, transfer, error):
        super().fail(transfer, error)
        self._remove(transfer)

    def _remove(self, transfer):
        self._update_all()
        self.progress.remove_task(self.bars.pop(transfer))

    def _update_all(self):
        self.progress.update(self.all, description=self._in_all(), total=self.total)

    def tick(self):
        """The bars are drawn by a thread of their own."""
