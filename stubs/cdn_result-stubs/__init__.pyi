from typing import NamedTuple

__all__ = ["TransferResult"]

class TransferResult(NamedTuple):
    bucket: str
    key: str
    size: int
    etag: str | None
    sha256: str | None
    verified: bool
    transferred: int
    resumed_from: int
    version_id: str | None
