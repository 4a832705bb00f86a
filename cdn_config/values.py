"""The settings by name, and what is wrong with their values, wherever they come from. Private."""

import math
import re
from collections.abc import Callable, Collection

from cdn_config.public_key import objection_to_public_key
from cdn_engine.wire.pace import LOWEST_RATE

__all__ = ["KEYS", "LIMITS", "NAMES", "limit_of", "missing", "objection_to", "rate_of", "seconds_of"]

_ROLES = ("downloader", "uploader")

KEYS = tuple(f"{role}_{part}" for role in _ROLES for part in ("access_key", "access_secret", "session_token"))
LIMITS = ("limit_rate", "deadline", "connect_timeout", "read_timeout")
NAMES = (
    "host", *(name for name in KEYS if "access" in name), "region",
    *(name for name in KEYS if "session" in name), "anonymous", *LIMITS, "release_public_key",
)  # fmt: skip

# The command prints kB, MB and GB, which are powers of 1000; so are these. curl, wget and rclone mean powers of 1024,
# which is up to 7 % more: whoever is used to them stays below the limit.
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)", re.ASCII)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}

_TIME = re.compile(r"(\d+(?:\.\d+)?)([smh]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST = 365 * 86400  # seconds; a system takes no timeout of centuries


def rate_of(text: str) -> int | None:
    """Return a rate in bytes a second: ``500K``, ``2M``, ``1.5G`` or a plain number; None if it is none of these."""
    found = _RATE.fullmatch(text)
    rate = float(found[1]) * _UNITS[found[2].lower()] if found else 0.0
    return int(rate) if LOWEST_RATE <= rate < math.inf else None


def seconds_of(text: str) -> float | None:
    """Return a time in seconds: ``90``, ``2.5s``, ``10m`` or ``1h``; None if it is none of these, 0, or too long."""
    found = _TIME.fullmatch(text)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    return seconds if 0 < seconds <= _LONGEST else None


def limit_of(name: str, text: str) -> float | None:
    """Return the value of one of ``LIMITS``; None if it is invalid."""
    return rate_of(text) if name == "limit_rate" else seconds_of(text)


def objection_to(name: str, text: str) -> str:
    """Return what is wrong with the value of a setting, for a text that begins with its name; empty if nothing is."""
    if name == "limit_rate":
        return "" if limit_of(name, text) else "must be bytes a second, at least 1K, such as 500K, 2M or 2000000"
    if name in LIMITS:
        return "" if limit_of(name, text) else "must be a time between 0 and a year, such as 30, 30s, 10m or 1h"
    if name == "anonymous":
        return "" if text in ("true", "false") else "must be true or false"
    if name == "release_public_key":
        return objection_to_public_key(text)
    if not text.isascii():
        return "contains a character that is not ASCII, such as a curly quote"
    if not text.isprintable() or " " in text:
        return "contains a space, a line break or a control character"
    return ""


def missing(
    given: Collection[str], is_anonymous: bool, called: Callable[[str], str], placed: Callable[[str], str]
) -> list[str]:
    """Return what is missing, and what does not go together.

    Args:
        given: The names of the settings that are there.
        is_anonymous: True if ``anonymous`` is one of them, and not false.
        called: Returns what the user calls a setting.
        placed: Returns the same with its place.
    """
    problems = [] if "host" in given else [f"{called('host')} is missing"]
    for role in _ROLES:
        pair = [f"{role}_access_key", f"{role}_access_secret"]
        token = f"{role}_session_token"
        present = [name for name in pair if name in given]
        if len(present) == 1:
            (absent,) = set(pair) - set(present)
            problems.append(f"{called(absent)} is missing: {placed(present[0])} needs it")
        elif not present and token in given:
            problems.append(f"{called(pair[0])} and {called(pair[1])} are missing: {placed(token)} needs them")
    if is_anonymous and "downloader_access_key" in given:
        problems.append(f"{placed('downloader_access_key')} contradicts {placed('anonymous')}: remove one of them")
    if not is_anonymous and not any(name in given for name in KEYS):
        problems.append(
            "no key pair: {} and {} are needed to download, {} and {} to upload, {} to download from a public bucket"
            .format(*map(called, (*(name for name in KEYS if "access" in name), "anonymous")))
        )
    return problems
