"""The file of ``--log-file``: what has ended, and the library's log, one JSON object per line."""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import Any

from cdn_cli.console import UsageError, complain

__all__ = ["is_kept", "logging_to", "record"]

_events = logging.getLogger("cdn_cli.events")  # reaches the file and nothing else
_events.propagate = False
_events.setLevel(logging.INFO)


@contextmanager
def logging_to(path: str | None, command: str) -> Iterator[None]:
    """Keep in a file what ends within the block, and what the library logs.

    Args:
        path: The file, which is appended to; None to keep nothing.
        command: The command that runs.

    Raises:
        UsageError: The file cannot be written.
    """
    if path is None:
        yield
        return
    try:
        handler = _File(path, command)
    except OSError as error:
        raise UsageError(f"the log file {path!r} cannot be written: {error.strerror}") from error
    loggers = [_events, logging.getLogger("cdn_manager")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def is_kept() -> bool:
    """Return True if there is a log file."""
    return any(isinstance(handler, _File) for handler in _events.handlers)


def record(event: Mapping[str, Any]) -> None:
    """Keep an event, if there is a log file."""
    _events.info("", extra={"event": event})


class _File(WatchedFileHandler):
    """Appends lines, also after logrotate has renamed the file. A new file is for this user alone."""

    def __init__(self, path: str, command: str) -> None:
        self._source = {"command": command, "pid": os.getpid()}
        self._has_failed = False
        super().__init__(path, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        # FileHandler calls it for each new file, and leaves its mode to the umask.
        return open(self.baseFilename, "a", encoding="utf-8", opener=_private)

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = {"event": "log", "level": record.levelname.lower(), "text": record.getMessage()}
        event = getattr(record, "event", said)
        return json.dumps({"time": time.replace("+00:00", "Z"), **self._source, **event})

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # its directory has gone
            self.handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # what could not be written before is tried once more
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once that the file cannot be written. The transfers go on."""
        if not self._has_failed:
            self._has_failed = True
            complain(sys.exception() or "unknown error", "the log file cannot be written: ")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
