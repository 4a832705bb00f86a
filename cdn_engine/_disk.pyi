from collections.abc import Sequence

__all__ = [
    "APPEND_ONLY",
    "IMMUTABLE",
    "MOUNT_POINT",
    "NOT_SUPPORTED",
    "allocate",
    "attributes",
    "create_locked",
    "has_any",
    "open_directory",
    "rename_all",
    "sync",
    "sync_all",
]

APPEND_ONLY: int
IMMUTABLE: int
MOUNT_POINT: int
NOT_SUPPORTED: frozenset[int]

def allocate(descriptor: int, size: int) -> bool: ...
def sync(descriptor: int) -> None: ...
def sync_all(descriptors: Sequence[int]) -> list[OSError | None]: ...
def rename_all(renames: Sequence[tuple[int, bytes, bytes]]) -> list[OSError | None]: ...
def open_directory(parent: int, path: bytes, flags: int) -> tuple[int, tuple[int, int]]: ...
def create_locked(directory: int, name: bytes, flags: int) -> int: ...
def has_any(directory: int, names: list[bytes]) -> bool: ...
def attributes(directory: int, name: bytes) -> int: ...
