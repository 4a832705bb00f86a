"""Signs manifests, and tells whether one is signed with the right key: Ed25519, by the package ``cryptography``.

A private key may be in an argument. Each function forgets it before anything is raised, because exception trackers
record the local variables of every frame.
"""

import base64
import os
from typing import TYPE_CHECKING, TypeAlias

from cdn_config.public_key import is_private_key, objection_to_public_key, public_key_of
from cdn_config.secret_file import read_secret_file
from cdn_release.errors import SignatureError

if TYPE_CHECKING:  # it is an extra, and needed only where something is signed or has to be
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["LARGEST_SIGNATURE", "KeySource", "check", "load_signing_key", "require_public_key", "sign"]

LARGEST_SIGNATURE = 1024  # bytes; ours have 89
_LARGEST_KEY = 64 << 10  # bytes; a real file has 119

# Signed before the content, so that a signature of a manifest is never one of something else.
_CONTEXT = b"cdn-manager release\n"

KeySource: TypeAlias = "bytes | str | os.PathLike[str] | Ed25519PrivateKey"


def load_signing_key(key: KeySource) -> "Ed25519PrivateKey":
    """Return the private key that releases are signed with.

    Args:
        key: PEM (PKCS#8) of an Ed25519 key, or the path to it, or what this function has returned. Log a warning if
            other users of this machine can read the file.

    Returns:
        The key, which no ``repr`` shows.

    Raises:
        SignatureError: It is another kind of key, or encrypted, or no key; or ``cryptography`` is not installed.
        OSError: The file cannot be read.

    Thread-safety: safe.
    """
    try:
        _require_cryptography()
        name = "the signing key"
        # A str may be the key itself, by mistake or on purpose. It must not be opened: the error would name it.
        if isinstance(key, os.PathLike) or (isinstance(key, str) and not is_private_key(key)):
            name = f"the signing key in {os.fspath(key)!r}"
            key = read_secret_file(key, _LARGEST_KEY)
        found = _loaded(key)
    finally:
        del key
    if isinstance(found, str):
        raise SignatureError(f"{name} {found}")
    return found


def sign(content: bytes, key: KeySource) -> bytes:
    """Return the signature of a manifest: a line of base64.

    Args:
        content: The manifest's bytes.
        key: As ``load_signing_key`` takes it.

    Raises: as ``load_signing_key`` does.

    Thread-safety: safe.
    """
    try:
        private_key = load_signing_key(key)
    finally:
        del key
    return base64.b64encode(private_key.sign(_CONTEXT + content)) + b"\n"


def require_public_key(public_key: str) -> None:
    """Refuse what is no public key. It may be a private one, by mistake.

    Args:
        public_key: PEM of an Ed25519 public key, or the line of base64 in it.

    Raises:
        SignatureError: It is none.

    Thread-safety: safe.
    """
    try:
        problem = objection_to_public_key(public_key)
    finally:
        del public_key
    if problem:
        raise SignatureError(f"the public key {problem}")


def check(content: bytes, signature: bytes | None, public_key: str) -> None:
    """Make sure that a manifest is signed with the private key that belongs to a public one.

    Args:
        content: The manifest's bytes.
        signature: What ``sign`` has returned, or anything else; None if there is no signature.
        public_key: PEM of an Ed25519 public key, or the line of base64 in it.

    Raises:
        SignatureError: It is not; or ``public_key`` is no such key; or ``cryptography`` is not installed.

    Thread-safety: safe.
    """
    try:
        problem, raw = objection_to_public_key(public_key), public_key_of(public_key)
    finally:
        del public_key
    if raw is None:
        raise SignatureError(f"the public key {problem}")
    if signature is None:
        raise SignatureError("the release is not signed, and here it has to be: publish it with --sign KEYFILE")
    if not _is_signed(content, signature, raw):
        raise SignatureError("the release was changed after it was signed, or it is signed with another key")


def _is_signed(content: bytes, signature: bytes, public_key: bytes) -> bool:
    _require_cryptography()
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(signature) > LARGEST_SIGNATURE:
        return False
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, _CONTEXT + content)
    except UnsupportedAlgorithm as error:  # in FIPS mode, for example
        raise SignatureError(f"this machine cannot check signatures of Ed25519: {error}") from error
    except (InvalidSignature, ValueError):
        return False
    return True


def _loaded(key: "bytes | str | Ed25519PrivateKey") -> "Ed25519PrivateKey | str":
    """Return the key, or what is wrong with it. What raises here would show it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if isinstance(key, Ed25519PrivateKey):
        return key
    pem = key.encode(errors="replace") if isinstance(key, str) else key
    if b"ENCRYPTED" in pem:
        return "is encrypted: sign with what 'openssl pkey -in KEYFILE' prints"
    if b"PUBLIC KEY" in pem:
        return "is a public key: sign with the private one that belongs to it"
    try:
        found = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return "is not PEM of PKCS#8: make one with 'openssl genpkey -algorithm ed25519 -out release.pem'"
    if isinstance(found, Ed25519PrivateKey):
        return found
    return "is not an Ed25519 key: make one with 'openssl genpkey -algorithm ed25519 -out release.pem'"


def _require_cryptography() -> None:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: F401
    except ImportError as error:
        problem = f"signatures need the package cryptography ({error}): pip install 'cdn-manager[sign]'"
        raise SignatureError(problem) from error
