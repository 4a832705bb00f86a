"""What a store's answer to a GET says about the object, and whether it is still the object that was asked for."""

import re
from dataclasses import dataclass
from typing import Any

from cdn_engine.errors import CDNError, IntegrityError, StoreProtocolError

__all__ = ["Answer", "Changed", "Unranged", "Version", "digest_of", "strong_etag"]

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_EMPTY_RANGE = re.compile(r"bytes (0--1|\*)/0")  # what some stores answer for an empty object
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Changed(CDNError):
    """The object is not the one that this download began with."""


class Unranged(CDNError):
    """Ranges cannot be used on this object: it is empty, or a mix of two versions would go unnoticed."""


def digest_of(response: dict[str, Any]) -> str | None:
    """Return the digest in an object's metadata. Some stores change the letter case of its name."""
    for name, value in response.get("Metadata", {}).items():
        if name.lower() == "sha256" and _SHA256.fullmatch(value.lower()):
            return str(value.lower())
    return None


def strong_etag(response: dict[str, Any]) -> str | None:
    """Return the ETag as it stands; None for a missing or weak one, which does not promise the same bytes."""
    etag: str | None = response.get("ETag")
    return None if not etag or etag.startswith("W/") else etag


@dataclass(frozen=True)
class Answer:
    """The head of an answer to a GET.

    Attributes:
        first: The object's byte with which the body begins.
        last: The last byte of the body; None if the body is the whole object.
        total: The object's size in bytes; None if the answer does not tell it.
        etag: The strong ETag; None without one.
        sha256: The digest in the metadata; None without one.
        version_id: The store's version id; None without one.
    """

    first: int
    last: int | None
    total: int | None
    etag: str | None
    sha256: str | None
    version_id: str | None

    @classmethod
    def of(cls, response: dict[str, Any]) -> "Answer":
        """Read boto3's response.

        Raises:
            StoreProtocolError: It is a part of the object and does not say which.
        """
        first, last, total = 0, None, response.get("ContentLength")
        content_range = response.get("ContentRange") or ""
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match:
            first, last, total = int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])
        elif _EMPTY_RANGE.fullmatch(content_range):
            total = 0
        elif response["ResponseMetadata"]["HTTPStatusCode"] == 206:
            raise StoreProtocolError("the store sent a part of the object without saying which")
        return cls(first, last, total, strong_etag(response), digest_of(response), response.get("VersionId"))


class Version:
    """What is known about the version of the object that a download began with.

    Args:
        pinned: The digest that the caller requires; None for the one in the object's metadata.

    Attributes:
        etag: The strong ETag; None without one.
        sha256: The digest that the content must have; None without one.
        claimed: The digest in the object's metadata; None without one.
        version_id: The store's version id; None without one.
        verified_by: What the content was compared with, as in a ``TransferResult``; None as long as it was not.
    """

    def __init__(self, pinned: str | None) -> None:
        self._pinned = pinned
        self.etag: str | None = None
        self.sha256 = pinned
        self.claimed: str | None = None
        self.version_id: str | None = None
        self.verified_by: str | None = None

    @property
    def recognizable(self) -> bool:
        """True if a later answer can be checked to be of the same version."""
        return self.etag is not None or self.sha256 is not None

    def verify(self, found: str) -> None:
        """Compare the digest of the content with the one that it must have.

        Raises:
            IntegrityError: It is another one.
        """
        if found != self.sha256:
            raise IntegrityError(
                f"the object should have the SHA-256 {self.sha256}, but the downloaded content has {found}: "
                "nothing was installed"
            )
        self.verified_by = "sha256"

    def resume(self, etag: str | None, sha256: str | None) -> None:
        """Take over what an earlier call knew."""
        self.etag, self.sha256, self.claimed = etag, self._pinned or sha256, sha256

    def learn(self, answer: Answer) -> None:
        """Take over what the first answer tells. What the caller requires stands above the object's metadata."""
        self.etag, self.sha256, self.claimed = answer.etag, self._pinned or answer.sha256, answer.sha256
        self.version_id = answer.version_id

    def compare(self, answer: Answer) -> None:
        """Make sure that an answer is about this version.

        Raises:
            Changed: It is about another one.
        """
        self.claimed = self.claimed or answer.sha256
        self.sha256 = self.sha256 or answer.sha256
        if answer.etag != self.etag or answer.sha256 not in (None, self.claimed):
            raise Changed("another ETag or digest")
        self.version_id = answer.version_id
