"""What the values of arguments may look like."""

import re
from argparse import ArgumentTypeError

__all__ = ["age", "bucket", "count", "given", "jobs", "key", "prefix", "sha256"]


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # seconds


def age(text: str) -> float:
    """Return an age in seconds."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text)
    if match is None:
        raise ArgumentTypeError("must be a number with a unit: 90s, 15m, 12h, 1d")
    return float(match[1]) * _UNITS[match[2]]


def bucket(text: str) -> str:
    """Return the name of a bucket."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", text):  # botocore's own rule
        raise ArgumentTypeError("must be letters, digits, '.', '-' or '_': the name only, without s3://")
    return text


def count(text: str) -> int:
    """Return how many of something are to stay."""
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise ArgumentTypeError("must be a number from 1")
    return int(text)


def given(text: str) -> str:
    """Return a text that is not empty."""
    if not text:  # such as "$DIR" in a script where DIR is not set
        raise ArgumentTypeError("must not be empty")
    return text


def key(text: str) -> str:
    """Return a key."""
    try:
        given(text).encode()
    except UnicodeEncodeError:  # a name from a machine with another encoding
        raise ArgumentTypeError("must be UTF-8, as every key is") from None
    return text


def jobs(text: str) -> int:
    """Return how many transfers may run at a time."""
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise ArgumentTypeError("must be a number from 1 to 256")
    return int(text)


def prefix(text: str) -> str:
    """Return what precedes keys: nothing, or something that ends with a slash."""
    folder = text.strip("/")
    if folder:
        key(folder)
    return folder and f"{folder}/"


def sha256(text: str) -> str:
    """Return a digest in hex."""
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ArgumentTypeError("must be 64 hexadecimal digits")
    return text
