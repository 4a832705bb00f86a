"""What a release consists of, as bytes of which there is exactly one form: their SHA-256 is the release's identity."""

import hashlib
import json
import re
from typing import NamedTuple, Self

from cdn_engine.paths import objection_to_key
from cdn_release.errors import ManifestError, ReleaseError

__all__ = ["LARGEST", "MOST_FILES", "FileEntry", "Manifest", "check_name", "is_name"]

# Far above what a model has. They bound what a manifest that lies can make a machine do, before anything is fetched.
LARGEST = 16 << 20  # bytes
MOST_FILES = 50_000

_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,199}")
_FILE = rb'\{"mode":"[0-7]{3}","path":"(?:[^"\\\x00-\x1f]|\\")++","sha256":"[0-9a-f]{64}","size":[0-9]{1,16}\}'
_WRITTEN = re.compile(
    rb'\{"files":\[%b(?:,%b)*+\],"format":%d,"name":"[A-Za-z0-9._+-]{1,200}"\}' % (_FILE, _FILE, _FORMAT)
)
_LONGEST_PATH = 1024  # characters; S3 allows a key as many bytes, and macOS a path
_LARGEST_FILE = 1 << 53  # bytes; every reader of JSON knows integers up to here exactly


class FileEntry(NamedTuple):
    """A file of a release.

    Attributes:
        path: Its path in the release, with ``/`` between names.
        size: Its size in bytes.
        sha256: The SHA-256 of its content, in hex.
        mode: Its permission bits.
    """

    path: str
    size: int
    sha256: str
    mode: int


class Manifest(NamedTuple):
    """A release: a name and its files.

    Attributes:
        name: The release's name.
        files: Its files, sorted by path.
    """

    name: str
    files: tuple[FileEntry, ...]

    @classmethod
    def of(cls, name: str, files: list[FileEntry]) -> Self:
        """Return the manifest of some files.

        Raises:
            ManifestError: They cannot be a release.
        """
        made = cls(name, tuple(sorted(files)))
        made._check()
        if (size := len(made.encode())) > LARGEST:
            raise ManifestError(f"its manifest would have {size} bytes; at most {LARGEST} are possible")
        return made

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """Read a manifest, which may come from anybody.

        Args:
            content: Its bytes.
            name: The name of the release that it must be of.

        Raises:
            ManifestError: It is none, is of another release, has a path that leads elsewhere, or is not written in
                the one form.
        """
        if len(content) > LARGEST:
            raise ManifestError(f"the manifest has more than {LARGEST} bytes")
        if content.count(b'"path":') > MOST_FILES:
            raise ManifestError(f"the manifest has more than {MOST_FILES} files")
        # Before it is read: JSON of this size can become objects of twenty times the size.
        if not _WRITTEN.fullmatch(content):
            raise ManifestError("the manifest is damaged, or of a kind that is not known here")
        try:
            document = json.loads(content)
        except ValueError:
            raise ManifestError("the manifest is not UTF-8") from None
        files = [FileEntry(**{**file, "mode": int(file["mode"], 8)}) for file in document["files"]]
        found = cls(document["name"], tuple(files))
        found._check()
        if found.name != name:
            raise ManifestError(f"the manifest is that of {found.name!r}")
        if found.encode() != content:
            raise ManifestError("the manifest is not written in the one form that manifests have")
        return found

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def contents(self) -> tuple[FileEntry, ...]:
        """A file of each content: of equal files, the last one."""
        return tuple({file.sha256: file for file in self.files}.values())

    @property
    def sha256(self) -> str:
        """The identity of the release, in hex."""
        return hashlib.sha256(self.encode()).hexdigest()

    def encode(self) -> bytes:
        """Return the manifest as canonical JSON (RFC 8785)."""
        files = [{**file._asdict(), "mode": f"{file.mode:03o}"} for file in self.files]
        document = {"files": files, "format": _FORMAT, "name": self.name}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

    def _check(self) -> None:
        if problem := _objection_to_name(self.name):
            raise ManifestError(f"{self.name!r} cannot be the name of a release: {problem}")
        if not 1 <= len(self.files) <= MOST_FILES:
            raise ManifestError(f"a release has from 1 to {MOST_FILES} files, not {len(self.files)}")
        paths = [file.path for file in self.files]
        if max(map(len, paths)) > _LONGEST_PATH:
            raise ManifestError(f"the path of a file has more than {_LONGEST_PATH} characters")
        directories = _directories(paths)
        for file in self.files:
            if problem := objection_to_key(file.path):
                raise ManifestError(f"{file.path!r} cannot be the path of a file: {problem}")
            if file.size > _LARGEST_FILE:
                raise ManifestError(f"{file.path!r} cannot have {file.size} bytes")
        if paths != sorted(set(paths)):
            raise ManifestError("the manifest names a file twice, or not in order")
        if clash := next((path for path in paths if path in directories), None):
            raise ManifestError(f"{clash!r} would be both a file and a directory")
        sizes = {file.sha256: file.size for file in self.files}
        if liar := next((file for file in self.files if file.size != sizes[file.sha256]), None):
            raise ManifestError(f"{liar.path!r} and another file have the same content and different sizes")


def is_name(name: str) -> bool:
    """Return True if this can be the name of a release."""
    return _objection_to_name(name) is None


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a release.

    Raises:
        ReleaseError: It cannot.
    """
    if problem := _objection_to_name(name):
        raise ReleaseError(f"{name!r} cannot be the name of a release: {problem}")


def _objection_to_name(name: str) -> str | None:
    if not _NAME.fullmatch(name):
        return "it must be 1 to 200 letters, digits, '.', '-', '_' or '+', and not begin with a '.'"
    if name.casefold() == "current":
        return "that is the link to the current release"
    return objection_to_key(name, windows=True)


def _directories(paths: list[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
        if len(found) > MOST_FILES:
            raise ManifestError(f"a release has at most {MOST_FILES} directories")
    return found
