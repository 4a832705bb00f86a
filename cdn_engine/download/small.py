"""An object that comes with one request: it goes from memory to a file of its own, without lock file and journal."""

import contextlib
import hashlib
import os
import queue
from collections.abc import Callable
from io import FileIO

from cdn_engine.download import installer
from cdn_engine.download.answer import Answer, Version
from cdn_engine.download.directory import Directory
from cdn_engine.download.judge import refuse_web_page
from cdn_engine.download.lock import is_current
from cdn_engine.download.md5 import is_made_of
from cdn_engine.download.opening import Opened, Opening
from cdn_engine.download.own_file import open_own, unlink_own
from cdn_engine.download.partial import Partial
from cdn_engine.download.receipt import Receipt
from cdn_engine.download.remote import RemoteObject
from cdn_engine.errors import CDNError, StoreProtocolError, UnsafePathError
from cdn_engine.file_lock import try_lock
from cdn_engine.phases import FINISHING, Progress
from cdn_engine.result import TransferResult

__all__ = ["SmallFile", "fetch_small"]

_TICK = 0.05  # seconds between two looks of the calling thread


class _Abandoned(Exception):
    """The caller does not want the file any more."""


class SmallFile:
    """A file under a name of ours, beside its target. It is locked itself, so that one process at a time writes it.

    Args:
        partial: Knows the target.

    Attributes:
        partial: What knows the target.
        error: Why it is not installed; None if it is, or may be yet.

    Thread-safety: for one thread at a time: the caller's, then the installer's.
    """

    def __init__(self, partial: Partial) -> None:
        self.partial = partial
        self._name = f"{partial.stem}.whole"
        self._file: FileIO | None = None
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._submitted = self._ended = self._abandoned = False
        self._last: Callable[[], object] | None = None
        self.error: Exception | None = None

    # For the calling thread

    def take(self) -> bool:
        """Make the file, or take over what a dead process has left of it.

        Returns False if another download has it, or the long way has to find out what is wrong.
        """
        if os.name == "nt":  # where no open file can be renamed
            return False
        directory = self.partial.folder.directory
        with contextlib.suppress(OSError, UnsafePathError):
            try:
                self._file = FileIO(directory.create_locked(self._name, os.O_RDWR), "r+")
                return True
            except FileExistsError:
                self._file = open_own(directory, self._name, "r+")
            if try_lock(self._file.fileno()) and is_current(self._file, directory, self._name):
                self._file.truncate(0)
                return True
        if self._file is not None:
            self._file.close()
            self._file = None
        return False

    def install(self, content: memoryview, date: Callable[[int], object], pulse: Callable[[], object]) -> None:
        """Write the content, and wait until the file is installed, and that is on the disk.

        Args:
            content: The object.
            date: Called with the descriptor of the file when it is written; may set its times.
            pulse: Called about 20 times a second. If it raises before the file has its final name, it never gets it.

        Raises:
            OSError: There is no room, or data may be lost.
        """
        assert self._file is not None
        try:
            while content:
                content = content[self._file.write(content):]
        except OSError as error:
            raise OSError(error.errno, f"no room for the object: {error.strerror}", self.partial.final) from None
        date(self._file.fileno())
        self._submitted, process = True, os.getpid()
        installer.submit(self)
        while not self._ended:
            if os.getpid() != process:
                raise CDNError("this process was forked during the download, which goes on in the other one")
            with contextlib.suppress(queue.Empty):
                self._news.get(timeout=_TICK)
                break
            pulse()
        if self.error is not None:
            raise self.error

    def finally_do(self, last: Callable[[], object]) -> None:
        """Remove what is not installed, and call ``last``: now, or in the installer's thread when that has ended.

        ``last`` may be called twice, and so may this, as is necessary after Ctrl-C in the middle of it.
        """
        self._abandoned, self._last = True, last
        if self._ended or not self._submitted:  # read after ``_last`` is set, as ``end`` reads that after ``_ended``
            self._leave()

    def _leave(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with file, contextlib.suppress(OSError, UnsafePathError):
                if not self._submitted or self.error is not None:
                    directory = self.partial.folder.directory
                    if is_current(file, directory, self._name):
                        unlink_own(directory, self._name)
        if self._last is not None:
            self._last()

    # For the installer

    def fileno(self) -> int:
        assert self._file is not None
        return self._file.fileno()

    def note_sync(self, failure: OSError | None) -> None:
        if self._abandoned:
            self.error = _Abandoned()
        elif failure is not None:
            reason = f"what was written may be lost: {failure.strerror}"
            self.error = OSError(failure.errno, reason, self.partial.final)

    def renaming(self) -> tuple[Directory, str, str]:
        return self.partial.renaming(self._name)

    def directories(self) -> list[Directory]:
        return self.partial.folder.to_sync()

    def end(self) -> None:
        if self.error is None:
            self.partial.folder.settle()
        self._ended = True
        self._news.put(None)
        if self._last is not None:
            self._leave()


def fetch_small(
    file: SmallFile, remote: RemoteObject, opening: Opening, version: Version, progress: Progress
) -> TransferResult | Opened | None:
    """Download an object if it is small and comes soon.

    Args:
        file: The file.
        remote: The object.
        opening: Its first request.
        version: What is known of the object: the digest that the caller requires, or nothing.
        progress: Takes the number of bytes received.

    Returns:
        The result; or the request if it is better carried on the long way; None if that begins it too.

    Raises: as ``CDNManager.fetch`` does.
    """
    if not file.take():
        return None
    opened = opening.ask()
    is_open = True
    try:
        if version.sha256 is None:  # a digest would tell the object from a page
            refuse_web_page(opened.response, remote.key)
        whole = _read_whole(opening, opened)
        if whole is None:
            file.finally_do(lambda: None)
            is_open = False
            return opened
    finally:
        if is_open:
            opened.close()
    answer, content = whole
    version.learn(answer)
    _verify(version, content)
    if content:
        progress(len(content))
    progress.phase(FINISHING)
    receipt = Receipt(remote, file.partial, version)
    file.install(content, receipt.date, opening.pulse)
    receipt.keep()
    return remote.result(version, len(content), len(content), 0)


def _verify(version: Version, content: memoryview) -> None:
    if version.sha256 is not None:
        version.verify(hashlib.sha256(content).hexdigest())
    elif is_made_of(version.etag, content):
        version.verified_by = "md5"


def _read_whole(opening: Opening, opened: Opened) -> tuple[Answer, memoryview] | None:
    """Return what the head of the answer says, and the object; None if others have to read or to judge it."""
    try:
        answer = Answer.of(opened.response)
        content = opening.read(opened, answer)
    except StoreProtocolError:
        return None
    return None if content is None else (answer, content)
