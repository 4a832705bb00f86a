"""Which keys may be given together. It is told which there are, and never what they are."""

from typing import NamedTuple

__all__ = ["Pair", "objection_to_pairs"]


class Pair(NamedTuple):
    """What is given of a key pair.

    Attributes:
        access_key: True if the access key is.
        access_secret: True if its secret is.
        session_token: True if a session token is.
    """

    access_key: bool
    access_secret: bool
    session_token: bool


def objection_to_pairs(downloader: Pair, uploader: Pair, anonymous: bool) -> str | None:
    """Return what is missing or too much; None if nothing is.

    Args:
        downloader: The pair for reading.
        uploader: The pair for writing.
        anonymous: True to read without a key.
    """
    for role, pair in (("downloader", downloader), ("uploader", uploader)):
        if pair.access_key and not pair.access_secret:
            return f"{role}_access_secret is missing: {role}_access_key was given without it"
        if not pair.access_key and (pair.access_secret or pair.session_token):
            given = "access_secret" if pair.access_secret else "session_token"
            return f"{role}_access_key is missing: {role}_{given} was given without it"
    if anonymous and downloader.access_key:
        return "anonymous is for downloads without a key: leave out downloader_access_key, or anonymous"
    if not downloader.access_key and not uploader.access_key and not anonymous:
        return "no key pair: pass downloader_access_key or uploader_access_key with its secret, or anonymous=True"
    return None
