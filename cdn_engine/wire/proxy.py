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
    scheme = urlsplit(url).scheme
    if proxies is None:
        proxies = get_environ_proxies(url)
    proxy = _ProxyURL(proxies.get(scheme) or proxies.get("all") or "")
    del proxies  # a traceback may show the variables of its frames
    if not proxy:
        return None
    if _SCHEME.match(proxy) is None:
        proxy = _ProxyURL(f"http:{proxy}" if proxy.startswith("//") else f"http://{proxy}")
    if (objection := _objection_to(proxy, scheme)) is not None:
        raise CDNError(objection)
    return proxy


class _ProxyURL(str):
    """A URL whose ``repr`` does not show the password."""

    def __repr__(self) -> str:
        scheme, _, rest = self.partition("://")
        _, at, host = rest.rpartition("@")
        return f"{scheme}://{'***@' if at else ''}{host}"


def _objection_to(proxy: _ProxyURL, scheme: str) -> str | None:
    found = _SCHEME.match(proxy)
    if found is not None and found[1].lower() not in ("http", "https"):
        return (
            f"the proxy for {scheme} is a {found[1]!r} proxy, and only http and https proxies can be used: "
            f"set {scheme.upper()}_PROXY to one, or NO_PROXY to the store's host"
        )
    try:
        parts = urlsplit(proxy)
        # urllib3 reads URLs in its own way, and quotes what it cannot read, passwords included.
        usable = bool(parts.hostname) and parts.port != 0 and bool(parse_url(proxy).host)
    except ValueError:
        usable = False
    if usable:
        return None
    return (
        f"the proxy for {scheme} is no URL with a host: correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY "
        "(or their lower-case names)"
    )
