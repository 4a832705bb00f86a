"""Which proxy stands between this machine and the store."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from botocore.utils import get_environ_proxies
from urllib3.util import parse_url

from cdn_engine.errors import CDNError

__all__ = ["find_proxy"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def find_proxy(url: str, proxies: Mapping[str, str] | None = None) -> str | None:
    """Return the URL of the proxy for requests to ``url``, which may contain a password; None without one.

    Args:
        url: The store's URL.
        proxies: URLs of proxies by scheme, as in ``Config(proxies=...)``; None for the environment's: ``HTTP_PROXY``,
            ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case.

    Raises:
        CDNError: The proxy's URL cannot be used; the message does not contain it.
    """
    if proxies is None:
        proxies = get_environ_proxies(url)
    scheme = urlsplit(url).scheme
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy:
        return None
    found = _SCHEME.match(proxy)
    if found is None:
        proxy = f"http:{proxy}" if proxy.startswith("//") else f"http://{proxy}"
    elif found[1].lower() not in ("http", "https"):
        raise CDNError(
            f"the proxy for {scheme} is a {found[1]!r} proxy, and only http and https proxies can be used: "
            f"set {scheme.upper()}_PROXY to one, or NO_PROXY to the store's host"
        )
    try:
        parts = urlsplit(proxy)
        # urllib3 reads URLs in its own way, and quotes what it cannot read, passwords included.
        usable = bool(parts.hostname) and parts.port != 0 and bool(parse_url(proxy).host)
    except ValueError:
        usable = False
    if not usable:
        raise CDNError(
            f"the proxy for {scheme} is no URL with a host: correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY "
            "(or their lower-case names)"
        )
    return proxy
