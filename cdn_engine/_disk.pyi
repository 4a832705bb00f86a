__all__ = [
    "APPEND_ONLY",
    "IMMUTABLE",
    "MOUNT_POINT",
    "NOT_SUPPORTED",
    "allocate",
    "attributes",
    "begin_sync",
    "sync",
]

APPEND_ONLY: int
IMMUTABLE: int
MOUNT_POINT: int
NOT_SUPPORTED: frozenset[int]

def allocate(descriptor: int, size: int) -> bool: ...
def attributes(directory: int, name: bytes) -> int: ...
def begin_sync(descriptor: int) -> None: ...
def sync(descriptor: int) -> None: ...
