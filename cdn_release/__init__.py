"""Model directories that appear whole, or not at all: published to a store, installed on thousands of machines.

A release is a manifest, which names its files by their SHA-256, and those files. Whoever has the manifest's own SHA-256
can tell each byte of the release from every other.
"""

from cdn_release.changes import Changes
from cdn_release.collection import Unpublished, unpublish
from cdn_release.current import current, rollback
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
from cdn_release.installation import Installed, install
from cdn_release.listing import Release, releases
from cdn_release.manifest import FileEntry, Manifest
from cdn_release.pruning import prune
from cdn_release.publication import Published, publish
from cdn_release.verification import Problem, Verification, verify

__all__ = [
    "Changes",
    "FileEntry",
    "Installed",
    "Manifest",
    "ManifestError",
    "Problem",
    "Published",
    "Release",
    "ReleaseBusyError",
    "ReleaseDamagedError",
    "ReleaseDoesNotFitError",
    "ReleaseError",
    "ReleaseExistsError",
    "ReleaseMissingError",
    "SignatureError",
    "Unpublished",
    "Verification",
    "current",
    "install",
    "prune",
    "publish",
    "releases",
    "rollback",
    "unpublish",
    "verify",
]
