"""How a payload is cut into parts, and how many connections send them."""

from dataclasses import dataclass

from boto3.s3.transfer import TransferConfig

__all__ = ["Layout"]

# Four connections fill two cores; more cost a tenth more CPU. A buffer for each keeps the upload of a file far below
# 64 MiB of memory, also if the file is so large that its parts have to be larger.
_PART = 8 << 20
_CONNECTIONS = 4
_BUFFERS = 48 << 20

# A payload in memory needs no buffers: fewer, larger parts cost a tenth less.
_PARTS = 16
_LARGEST_PART = 64 << 20

_MAX_PARTS = 10_000  # S3's limit, which other stores share


@dataclass(frozen=True)
class Layout:
    """The parts of one payload.

    Attributes:
        part: Bytes of each part but the last.
        count: Number of parts.
        connections: How many are sent at once.
    """

    part: int
    count: int
    connections: int

    @classmethod
    def of(cls, size: int, in_memory: bool, config: TransferConfig | None) -> "Layout":
        """Cut a payload of ``size`` bytes (more than 0), as the caller's ``TransferConfig`` says if there is one."""
        if config is not None:
            part = config.multipart_chunksize
            connections = config.max_concurrency if config.use_threads else 1
        else:
            part = min(max(_PART, size // _PARTS), _LARGEST_PART) if in_memory else _PART
            connections = _CONNECTIONS
        part = max(part, -(-size // _MAX_PARTS))
        if config is None and not in_memory:
            connections = max(1, min(connections, _BUFFERS // part))
        count = -(-size // part)
        return cls(part, count, min(connections, count))

    @staticmethod
    def threshold(config: TransferConfig | None) -> int:
        """Return the largest payload, in bytes, that goes in one ``PutObject``."""
        return _PART if config is None else int(config.multipart_threshold)
