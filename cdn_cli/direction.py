"""What differs between uploads, downloads and the like when a batch of them ends."""

from typing import NamedTuple

__all__ = ["DOWNLOAD", "INSTALL", "PUBLISH", "UPLOAD", "Direction"]


class Direction(NamedTuple):
    """Uploads or downloads, of files or of a release.

    Attributes:
        verb: What happened to the files.
        patience: Seconds that transfers have to end after a signal. The process then exits without them.
        waiting: What they need these for.
        left: What may remain of one that has not ended by then; empty if nothing has to be done about it.
        advice: How to go on after a signal.
    """

    verb: str
    patience: float
    waiting: str
    left: str
    advice: str


UPLOAD = Direction(
    verb="uploaded",
    patience=15.0,  # the engine takes up to 10 s to abort an upload of which no part has arrived
    waiting="uploads to save how far they have come, or the store to delete those that have just begun",
    left="the upload had not ended: parts of it may remain at the store until you run the command again",
    advice="what the store has is kept: run the command again to go on",
)

# Files on disk are made to survive the end of the process at any time.
DOWNLOAD = Direction(
    verb="downloaded",
    patience=2.0,
    waiting="downloads to save what they have received",
    left="",
    advice="what was received is kept: run the command again to resume",
)

# The same for a release, which is an upload or download of several files at a time.
PUBLISH = UPLOAD._replace(verb="published", advice="the release is visible whole or not at all; " + UPLOAD.advice)
INSTALL = DOWNLOAD._replace(
    verb="installed", advice="what was received is kept, and nothing else has changed: run the command again to resume"
)
