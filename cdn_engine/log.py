"""Writes this package's lines to the application's log, escaped: keys, file names and stores supply parts of them.

The application's own lines, written through ``constants``, stay as they are: it may mean its line breaks.
"""

import constants
from cdn_engine.errors import printable

__all__ = ["log", "logerror"]


def log(line: str) -> None:
    """Write one line at level INFO."""
    constants.log(printable(line))


def logerror(line: str) -> None:
    """Write one line at level ERROR."""
    constants.logerror(printable(line))
