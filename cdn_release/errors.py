"""What publishing and installing releases fails with, beside what every transfer may."""

from cdn_manager import CDNError

__all__ = [
    "ManifestError",
    "ReleaseBusyError",
    "ReleaseDamagedError",
    "ReleaseDoesNotFitError",
    "ReleaseError",
    "ReleaseExistsError",
    "ReleaseMissingError",
    "SignatureError",
]


class ReleaseError(CDNError):
    """Base class of the exceptions of this package. ``TRANSFER_ERRORS`` contains it."""


class ManifestError(ReleaseError):
    """The manifest contradicts itself, its name, its pinned digest, or what the store has. Nothing was fetched."""


class SignatureError(ReleaseError):
    """The manifest has no signature, or not that of the required key; or a key cannot be used. No file was moved."""


class ReleaseExistsError(ReleaseError):
    """Another release has this name, at the store or in the directory."""


class ReleaseMissingError(ReleaseError):
    """There is no release of this name, at the store or in the directory."""


class ReleaseBusyError(ReleaseError):
    """A publish and a removal of what no release needs would get in each other's way."""


class ReleaseDamagedError(ReleaseError):
    """What is in the directory is not what was installed there."""


class ReleaseDoesNotFitError(ReleaseError):
    """The directory cannot hold the release: for want of space, or because two names are one there."""
