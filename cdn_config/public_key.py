"""Reads the public key that releases must be signed with. Private to this project.

Nothing here raises: the text may be a private key by mistake, and a traceback would show it.
"""

import base64
import re

__all__ = ["is_private_key", "objection_to_public_key", "public_key_of"]

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"

# DER of an Ed25519 public key (RFC 8410): this, then the key's 32 bytes. In base64 it begins with MCowBQYDK2VwAyEA.
_PREFIX = bytes.fromhex("302a300506032b6570032100")
_SIZE = 32  # bytes

# DER of a private key of any kind: a sequence that begins with a version, 0 or 1. A public key's begins with none.
_PRIVATE = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]", re.DOTALL)


def public_key_of(text: str) -> bytes | None:
    """Return the 32 bytes of an Ed25519 public key, None if the text is none.

    Args:
        text: PEM, or the line of base64 in it: what ``openssl pkey -pubout`` prints.
    """
    der = _der(text)
    return der[len(_PREFIX) :] if der.startswith(_PREFIX) and len(der) == len(_PREFIX) + _SIZE else None


def objection_to_public_key(text: str) -> str:
    """Return what is wrong with a public key, for a text that begins with its name; empty if nothing is."""
    if is_private_key(text):
        return (
            "is a private key, which no edge machine may have: use what 'openssl pkey -in release.pem -pubout' prints, "
            "and make a new pair if others may have seen this one"
        )
    if public_key_of(text) is None:
        return (
            "must be an Ed25519 public key, the line of base64 that 'openssl pkey -in release.pem -pubout' prints "
            "(MCowBQYDK2VwAyEA...)"
        )
    return ""


def is_private_key(text: str) -> bool:
    """Return True if the text is, or holds, a private key."""
    return "PRIVATE KEY" in text or _PRIVATE.match(_der(text)) is not None


def _der(text: str) -> bytes:
    """Return what PEM or base64 stands for; nothing if it is neither."""
    lines = text.strip().removeprefix(_BEGIN).removesuffix(_END)
    try:
        return base64.b64decode("".join(lines.split()), validate=True)
    except ValueError:
        return b""
