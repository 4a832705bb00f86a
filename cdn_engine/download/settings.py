"""The sizes and limits of a download, from the caller's ``TransferConfig`` or our own."""

from dataclasses import dataclass

from boto3.s3.transfer import TransferConfig

from cdn_engine.budget import CONNECTIONS

__all__ = ["BLOCK", "Settings"]

BLOCK = 512 << 10  # bytes read from a connection, or hashed, at once

_FIRST = 8 << 20  # bytes asked for before the size is known: the whole of a small object, little of a large one


@dataclass(frozen=True)
class Settings:
    """How a download is split into requests.

    Attributes:
        first: Bytes asked for before the size is known.
        part: Bytes asked for by each request; None to decide by the object's size.
        connections: The most connections.
        fixed: True if there are to be as many from the beginning.
        bandwidth: Bytes a second; None for no limit.
    """

    first: int = _FIRST
    part: int | None = None
    connections: int = CONNECTIONS
    fixed: bool = False
    bandwidth: int | None = None

    @classmethod
    def of(cls, config: TransferConfig | None) -> "Settings":
        """Return what a ``TransferConfig`` binds; our own settings for None."""
        if config is None:
            return cls()
        return cls(
            max(config.multipart_threshold, config.multipart_chunksize),
            config.multipart_chunksize,
            config.max_concurrency if config.use_threads else 1,
            True,
            config.max_bandwidth,
        )
