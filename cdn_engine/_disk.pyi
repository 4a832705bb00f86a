__all__ = [
    "APPEND_ONLY",
    "IMMUTABLE",
    "MOUNT_POINT",
    "NOT_SUPPORTED",
    "allocate",
    "attributes",
    "sync",
    "sync_file_system",
]

APPEND_ONLY: int
IMMUTABLE: int
MOUNT_POINT: int
NOT_SUPPORTED: frozenset[int]

def allocate(descriptor: int, size: int) -> bool: ...
def attributes(directory: int, name: bytes) -> int: ...
def sync(descriptor: int) -> None: ...
def sync_file_system(descriptor: int) -> bool: ...
