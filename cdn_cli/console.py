"""Writes to the terminal, and names the exit statuses."""

import contextlib
import os
import sys
from typing import NamedTuple

__all__ = [
    "DONE",
    "FAILED",
    "USAGE",
    "Output",
    "UsageError",
    "complain",
    "complain_about_output",
    "flush",
    "printable",
    "say",
    "size_text",
    "status_of_signal",
]

DONE, FAILED, USAGE = 0, 1, 2


class UsageError(Exception):
    """The command line or the configuration is wrong."""


class Output(NamedTuple):
    """How much to write, and in which form.

    Attributes:
        json: One JSON object per line on stdout.
        quiet: Only errors.
        verbose: A line for each file, and tracebacks.
    """

    json: bool
    quiet: bool
    verbose: bool


def status_of_signal(number: int) -> int:
    """Return the exit status after a signal, as a shell reports it: 130 after Ctrl-C."""
    return 128 + number


def say(text: str) -> None:
    """Write one line to stderr."""
    with contextlib.suppress(OSError):  # the terminal is gone
        print(f"cdn-manager: {text}", file=sys.stderr)


def complain(problem: BaseException | str, subject: str = "", traceback: bool = False) -> None:
    """Write to stderr, in one line, what went wrong.

    Args:
        problem: An exception, or text.
        subject: What it is about; precedes the text.
        traceback: Write an exception's traceback above the line.
    """
    if isinstance(problem, BaseException) and traceback:
        from traceback import print_exception

        print_exception(problem)
    say(printable(subject + (problem if isinstance(problem, str) else _reason(problem))))


def complain_about_output(error: BaseException, traceback: bool = False) -> None:
    """Write to stderr that stdout failed, unless that is because its reader has gone."""
    if not isinstance(error, BrokenPipeError):
        complain(error, "the output cannot be written: ", traceback)


def _reason(error: BaseException) -> str:
    try:
        from cdn_engine.errors import explain
    except Exception:  # the engine cannot be imported, which is what `error` reports
        return f"{error}"
    return explain(error)


def flush(status: int) -> int:
    """Write out what is buffered. Return the status, or ``FAILED`` if that is not possible."""
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            if status == DONE:
                complain_about_output(error)
            # Python flushes again when it exits, and would exit with status 120 if that failed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            status = status or FAILED
    return status


def printable(text: str) -> str:
    """Escape whatever could control the terminal in text from the network or the file system."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def size_text(count: int) -> str:
    """Return a number of bytes as people read it: ``90.9 MB``."""
    if count < 1000:
        return "1 byte" if count == 1 else f"{count} bytes"
    size = count / 1000
    for unit in ("kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
