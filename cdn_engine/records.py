"""Small records in the user's state directory, which outlive the process. None of them holds a secret.

They only save work, and are not synced: one that is missing, damaged or unwritable costs time, and never correctness.
"""

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from cdn_engine.log import log

__all__ = ["Record", "Records", "private", "seal", "unseal"]

_APPLICATION = "cdn-manager"
_LARGEST = 4 << 20  # bytes; 10,000 parts take 500 KiB
_LEFT = 30 * 86400.0  # seconds after which other files are removed that dead processes have left


def seal(content: dict[str, Any]) -> bytes:
    """Return a record as text, under a checksum that tells whether it is damaged."""
    body = json.dumps(content).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unseal(text: bytes) -> dict[str, Any] | None:
    """Return what ``seal`` was given; None if the text is damaged, or of another make."""
    digest, _, body = text.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if type(content) is dict else None


class Record:
    """One record.

    Args:
        path: Its file.

    Thread-safety: safe; of several that write at once, one is kept whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any] | None:
        """Return its content; None if there is none, or it is damaged."""
        try:
            with self.path.open("rb") as file:
                return unseal(file.read(_LARGEST))
        except OSError:
            return None

    def write(self, content: dict[str, Any]) -> bool:
        """Replace its content at once. Return False if that is not possible; the log says why."""
        new = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}.new")
        try:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with open(new, "xb", opener=private) as file:
                    file.write(seal(content))
                os.replace(new, self.path)
            except BaseException:
                with contextlib.suppress(OSError):
                    new.unlink()
                raise
        except OSError as error:
            log(f"no record can be kept in {str(self.path.parent)!r}: {error.strerror}")
            return False
        return True

    def remove(self) -> None:
        """Remove it, if it is there."""
        with contextlib.suppress(OSError):
            self.path.unlink()


class Records:
    """All records of one kind.

    Args:
        kind: The name of their directory.

    Thread-safety: safe.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    @property
    def folder(self) -> Path:
        """Where they are: looked up each time, as the environment may change."""
        return platformdirs.user_state_path(_APPLICATION, appauthor=False) / self._kind

    def of(self, subject: Sequence[str], detail: str = "") -> Record:
        """Return a record.

        Args:
            subject: What it is about: a host, bucket and key, for example.
            detail: Which of the records about this.
        """
        return Record(self.folder / f"{_digest(subject)}-{_digest([detail])}.json")

    def about(self, subject: Sequence[str]) -> Iterator[Record]:
        """Yield all records about a subject."""
        yield from self._found(f"{_digest(subject)}-*.json")

    def all(self) -> Iterator[Record]:
        """Yield every record."""
        yield from self._found("*.json")

    def older_than(self, seconds: float) -> Iterator[Record]:
        """Yield the records that have not been written for so long, and remove what dead processes have left."""
        now = time.time()
        for record in self._found("*"):
            with contextlib.suppress(OSError):
                age = now - record.path.stat().st_mtime
                if record.path.suffix != ".json":
                    if age > _LEFT:
                        record.remove()
                elif age > seconds:
                    yield record

    def _found(self, pattern: str) -> Iterator[Record]:
        with contextlib.suppress(OSError):
            yield from map(Record, sorted(self.folder.glob(pattern)))


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:32]


def private(path: str, flags: int) -> int:
    """Open a file that only the user may read: an opener for ``open``."""
    return os.open(path, flags, 0o600)
