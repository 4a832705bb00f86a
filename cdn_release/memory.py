"""What this machine remembers of what it has published, for a publisher whose key cannot ask the store.

It is right as long as nobody removes at the store what it tells of. While a publish has not ended, its marker there
keeps ``unpublish`` from doing so.
"""

import time
from collections.abc import Sequence

from cdn_engine.records import Records

__all__ = ["Memory"]

_records = Records("published")

_KEPT = 90 * 86400.0  # seconds that it counts, as with what `cdn_engine.upload.unchanged` remembers
_PAUSE = 1.0  # seconds between two writes, each of which is of all digests


class Memory:
    """What is remembered of one release.

    Args:
        host: The endpoint.
        bucket: The bucket.
        key: The key of the release's manifest.

    Attributes:
        published: The identity of the release that was published; None if none was, or it is not known.

    Thread-safety: for one thread.
    """

    def __init__(self, host: str, bucket: str, key: str) -> None:
        self._record = _records.of([host, bucket, key])
        content = self._record.read() or {}
        if abs(time.time() - content.get("at", 0.0)) > _KEPT:
            content = {}
        self._stored = frozenset(content.get("stored", ()))
        self.published: str | None = content.get("published")
        self._written = 0.0

    def has(self, sha256: str) -> bool:
        """Return True if this content was stored by a publish of this release that has not ended."""
        return sha256 in self._stored

    def doubt(self) -> None:
        """Do not rely on what was stored by a publish that has not ended: it may have been removed."""
        self._stored = frozenset()

    def note(self, stored: Sequence[str], at_once: bool = False) -> None:
        """Take note of all contents that this publish has stored so far, at least once a second."""
        if at_once or time.monotonic() - self._written > _PAUSE:
            self._written = time.monotonic()
            self._record.write({"stored": sorted({*self._stored, *stored}), "at": time.time()})

    def finish(self, manifest: str) -> None:
        """Take note that the release with this manifest is published. Its contents may be removed from now on."""
        self._record.write({"published": manifest, "at": time.time()})

    def forget(self) -> None:
        """Forget all of it."""
        self._record.remove()
