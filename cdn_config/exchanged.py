"""Recognizes an access key and a secret that stand in each other's place in ``cdn.yaml``. Private."""

import os

import yaml

from cdn_manager import CDNCredentials

__all__ = ["exchanged_pairs"]


def exchanged_pairs(path: str | os.PathLike[str]) -> dict[str, CDNCredentials]:
    """Return the credentials as they would be after an exchange, for each pair that looks as if it needed one.

    A pair looks so if its access key is longer than its secret: every store hands out secrets that are the longer half.

    Args:
        path: A file that ``load_credentials`` accepts.

    Returns:
        By role, ``downloader`` or ``uploader``, credentials with that pair alone, its two halves exchanged. Empty if
        the file cannot be read again, as a pipe cannot.

    Thread-safety: safe.
    """
    try:
        with open(path, "rb") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, yaml.YAMLError):
        return {}
    found = {}
    for role in ("downloader", "uploader"):
        key, secret = f"{role}_access_key", f"{role}_access_secret"
        if len(values.get(key, "")) > len(values.get(secret, "")):
            exchanged = {**values, key: values[secret], secret: values[key]}
            found[role] = CDNCredentials(**{name: exchanged[name] for name in ("host", key, secret)},
                                         region=values.get("region", "us-east-1"))  # fmt: skip
    return found
