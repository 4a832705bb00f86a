"""Model directories that appear whole, or not at all: published to a store, installed on thousands of machines.

A release is a manifest, which names its files by their SHA-256, and those files. Whoever has the manifest's own SHA-256
can tell each byte of the release from every other.
"""

from cdn_release.errors import (
    ManifestError,
    ReleaseBusyError,
    ReleaseDamagedError,
    ReleaseDoesNotFitError,
    ReleaseError,
    ReleaseExistsError,
    ReleaseMissingError,
    SignatureError,
)
from cdn_release.manifest import FileEntry, Manifest

__all__ = [
    "FileEntry",
    "Manifest",
    "ManifestError",
    "ReleaseBusyError",
    "ReleaseDamagedError",
    "ReleaseDoesNotFitError",
    "ReleaseError",
    "ReleaseExistsError",
    "ReleaseMissingError",
    "SignatureError",
]
