"""How a payload is cut into parts, and how many connections send them."""

from dataclasses import dataclass

from boto3.s3.transfer import TransferConfig

from cdn_engine.budget import CONNECTIONS

__all__ = ["SMALLEST_PART", "Layout"]

_THRESHOLD = 8 << 20

# S3's limits, which other stores share.
SMALLEST_PART = 5 << 20
_MAX_PARTS = 10_000

# Larger parts cost a little less CPU. But a part that fails, or whose process dies, is sent again, and each connection
# should send several, so that the others do not wait for a slow one for so long in the end.
_PARTS_OF_EACH = 4
_LARGEST_PART = 8 << 20


@dataclass(frozen=True)
class Layout:
    """The parts of one payload.

    Attributes:
        part: Bytes of each part but the last.
        count: Number of parts.
        connections: How many are sent at once, at most.
        is_callers: True if the caller's ``TransferConfig`` says so: then it is exactly so many.
    """

    part: int
    count: int
    connections: int
    is_callers: bool = False

    @classmethod
    def of(cls, size: int, config: TransferConfig | None) -> "Layout":
        """Cut a payload of ``size`` bytes (more than 0), as the caller's ``TransferConfig`` says if there is one."""
        if config is not None:
            part = config.multipart_chunksize
            connections = config.max_concurrency if config.use_threads else 1
        else:
            part = _part_of(size)
            connections = CONNECTIONS
        part = max(part, -(-size // _MAX_PARTS))
        count = -(-size // part)
        return cls(part, count, min(connections, count), config is not None)

    @staticmethod
    def threshold(config: TransferConfig | None) -> int:
        """Return the largest payload, in bytes, that goes in one ``PutObject``."""
        return _THRESHOLD if config is None else int(config.multipart_threshold)


def _part_of(size: int) -> int:
    """Return a size of parts with which all connections end at once if they are equally fast."""
    rounds = min(max(1, size // (CONNECTIONS * SMALLEST_PART)), _PARTS_OF_EACH)
    return min(max(SMALLEST_PART, -(-size // (CONNECTIONS * rounds))), _LARGEST_PART)
