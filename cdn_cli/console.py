"""Writes to the terminal, and names the exit statuses."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "DONE",
    "FAILED",
    "USAGE",
    "Output",
    "UsageError",
    "agrees",
    "complain",
    "complain_about_output",
    "files_text",
    "flush",
    "objects_text",
    "print_event",
    "printable",
    "rate_text",
    "reason_of",
    "releases_text",
    "say",
    "seconds_text",
    "size_text",
    "sizes_text",
    "status_of_signal",
]

DONE, FAILED, USAGE = 0, 1, 2


class UsageError(Exception):
    """The command line or the configuration is wrong. Each argument is a problem, and becomes a line."""


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
        print(f"cdn-manager: {printable(text)}", file=sys.stderr)


def print_event(event: Mapping[str, object]) -> None:
    """Write one JSON object to stdout, in printable ASCII."""
    print(json.dumps(event), flush=True)


def agrees(question: str) -> bool:
    """Ask on the terminal whether to go on."""
    print(printable(f"{question} [y/N] "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def complain(problem: BaseException | str, subject: str = "", traceback: bool = False) -> None:
    """Write to stderr, in one line, what went wrong.

    Args:
        problem: An exception, or text.
        subject: What it is about; precedes the text.
        traceback: Write an exception's traceback above the line.
    """
    if isinstance(problem, BaseException) and traceback:
        _print_traceback(problem)
    say(subject + (problem if isinstance(problem, str) else reason_of(problem)))


def _print_traceback(error: BaseException) -> None:
    from traceback import format_exception

    with contextlib.suppress(OSError):
        for block in format_exception(error):
            # Python's own blocks may have several lines. An exception's text is one, whatever it contains.
            lines = block[:-1].split("\n") if block.startswith((" ", "\n")) else [block[:-1]]
            print(*map(printable, lines), sep="\n", file=sys.stderr)


def complain_about_output(error: BaseException, traceback: bool = False) -> None:
    """Write to stderr that stdout failed, unless that is because its reader has gone."""
    if not isinstance(error, BrokenPipeError):
        complain(error, "the output cannot be written: ", traceback)


def reason_of(error: BaseException) -> str:
    """Return in one line why something failed."""
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
    try:
        from cdn_engine.errors import printable as escape
    except Exception:  # the engine cannot be imported, which is what the text reports
        return repr(text)[1:-1]
    return escape(text)


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


def sizes_text(there: int, size: int | None) -> str:
    """Return how much is there of how much, in one unit: ``46.5/90.9 MB``, ``46.5 MB`` if the whole is not known."""
    if size is None:
        return size_text(there)
    whole = size_text(size)
    unit = whole.partition(" ")[2]
    factor = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}.get(unit)
    part = f"{there}" if factor is None else f"{there / factor:.1f}"
    return f"{part:>{whole.index(' ')}}/{whole}"  # as wide in the beginning as at the end


def seconds_text(seconds: float) -> str:
    """Return a time as people read it: ``12 ms``, ``3.4 s``."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(1, round(seconds * 1000))} ms"


def rate_text(count: int, seconds: float) -> str:
    """Return bytes a second as people read them: ``4.2 MB/s``; nothing if that is less than one."""
    rate = int(count / seconds) if seconds > 0 else 0
    return f"{size_text(rate)}/s" if rate > 0 else ""


def files_text(count: int) -> str:
    """Return a number of files as people read it."""
    return "1 file" if count == 1 else f"{count} files"


def objects_text(count: int) -> str:
    """Return a number of objects as people read it."""
    return "1 object" if count == 1 else f"{count} objects"


def releases_text(count: int) -> str:
    """Return a number of releases as people read it."""
    return "1 release" if count == 1 else f"{count} releases"
