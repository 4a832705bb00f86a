"""What an endpoint URL may look like, and when to warn about it."""

import functools
import ipaddress
import re
from urllib.parse import urlsplit

from cdn_engine.log import log

__all__ = ["objection_to", "warn_about"]

# A name of at most 253 characters, whose labels have 63 and neither begin nor end with a hyphen (RFC 1123, 2.1).
_NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII)


def objection_to(host: str | None) -> str | None:
    """Return why ``host`` cannot be an endpoint, without repeating it (a URL may hold a secret); None if it can."""
    if not _is_url(host or ""):
        return "host must be a URL such as 'https://cdn.example.com' or 'http://127.0.0.1:8333'"
    parts = urlsplit(host or "")
    if parts.username is not None or parts.query or parts.fragment:
        return "host must not contain a user name, query or fragment: pass the keys separately"
    name = parts.hostname or ""
    if ":" in name or _NAME.fullmatch(name.removesuffix(".")):
        return None
    if "_" in name:
        return (
            "host must not contain an underscore, which no host name may: give the machine or container an alias "
            "without it, or use its address"
        )
    if not name.isascii():
        return "host must be ASCII: write the name as it is in the DNS, xn--..."
    return "host must contain a host name: 1 to 63 of a-z, 0-9 and hyphens between dots"


def _is_url(host: str) -> bool:
    try:
        parts = urlsplit(host)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return valid and host.isprintable() and " " not in host


@functools.cache
def warn_about(host: str) -> None:
    """Log once per process what is allowed in an endpoint, but seldom meant: plain http to another machine, a path."""
    parts = urlsplit(host)
    if parts.path.strip("/"):
        log(f"host contains the path {parts.path!r}, which comes before every bucket: if it is the bucket, remove it")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
        log(f"plain http to {parts.netloc}: anyone on the way can read what is transferred; use https")


def _is_this_machine(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False  # another name
