"""What an endpoint URL may look like, and when to warn about it."""

import functools
import ipaddress
from urllib.parse import urlsplit

from constants import log

__all__ = ["objection_to", "warn_of_plain_http"]


def objection_to(host: str | None) -> str | None:
    """Return why ``host`` cannot be an endpoint; None if it can. It raises nothing: a URL may hold a secret."""
    if not _is_url(host or ""):
        return "host must be a URL such as 'https://cdn.example.com' or 'http://127.0.0.1:8333'"
    parts = urlsplit(host or "")
    if parts.username is not None or parts.query or parts.fragment:
        return "host must not contain a user name, query or fragment: pass the keys separately"
    return None


def _is_url(host: str) -> bool:
    try:
        parts = urlsplit(host)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return valid and host.isprintable() and " " not in host


@functools.cache
def warn_of_plain_http(host: str) -> None:
    """Log once per process that transfers with another machine are not encrypted."""
    parts = urlsplit(host)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return
    try:
        if ipaddress.ip_address(parts.hostname or "").is_loopback:
            return
    except ValueError:
        pass  # a name
    log(f"plain http to {parts.netloc}: anyone on the way can read what is transferred; use https")
