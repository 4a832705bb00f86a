"""What a successful transfer reports."""

from typing import NamedTuple

__all__ = ["TransferResult"]


class TransferResult(NamedTuple):
    """A finished upload or download.

    Attributes:
        bucket: The bucket.
        key: The object's key.
        size: The object's size in bytes.
        etag: The store's ETag without quotes; None if the store gives none.
        sha256: The object's SHA-256 in hex; None if neither the store nor the caller gave one.
        verified: True if a download's content was compared with a digest, of the store or of the caller, or with an
            ETag.
        transferred: Bytes of the object that crossed the network in this call.
        resumed_from: Bytes that an earlier, broken call had already brought.
        version_id: The store's version id; None if the bucket has no versions.
        skipped: True if nothing was to be done: the content was there already.
        verified_by: What the content was compared with: ``sha256``, or ``md5`` for an ETag that is made of MD5s; None
            if it was not.
    """

    bucket: str
    key: str
    size: int
    etag: str | None
    sha256: str | None
    verified: bool
    transferred: int
    resumed_from: int
    version_id: str | None
    skipped: bool = False
    verified_by: str | None = None
