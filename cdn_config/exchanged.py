"""Recognizes an access key and a secret that stand in each other's place in the configuration. Private."""

import os
from typing import Any

import yaml

from cdn_config.environment import variable
from cdn_config.values import KEYS
from cdn_manager import CDNCredentials

__all__ = ["exchanged_pairs"]


def exchanged_pairs(path: str | os.PathLike[str] | None) -> dict[str, CDNCredentials]:
    """Return the credentials as they would be after an exchange, for each pair that looks as if it needed one.

    A pair looks so if its access key is longer than its secret: every store hands out secrets that are the longer half.

    Args:
        path: A file that ``load_configuration`` accepts; None for the environment, if it does.

    Returns:
        By role, ``downloader`` or ``uploader``, credentials with that pair alone, its two halves exchanged. Empty if
        the file cannot be read again, as a pipe cannot.

    Thread-safety: safe.
    """
    values = _read_again(path)
    found = {}
    for role in ("downloader", "uploader"):
        key, secret, token = f"{role}_access_key", f"{role}_access_secret", f"{role}_session_token"
        if len(values.get(key, "")) > len(values.get(secret, "")):
            exchanged = {**values, key: values[secret], secret: values[key]}
            names = ("host", "region", key, secret, token)
            found[role] = CDNCredentials(**{name: exchanged[name] for name in names if name in exchanged})
    return found


def _read_again(path: str | os.PathLike[str] | None) -> dict[str, Any]:
    if path is None:
        names = ("host", "region", *KEYS)
        return {name: os.environ[variable(name)] for name in names if os.environ.get(variable(name))}
    try:
        with open(path, "rb") as file:
            return yaml.safe_load(file) or {}
    except (OSError, yaml.YAMLError):
        return {}
