"""Which proxy is found, and how one that cannot be used is refused."""

import traceback

import pytest

from cdn_engine.wire.proxy import find_proxy
from cdn_manager import CDNError

pytestmark = pytest.mark.portable


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("url", "variables", "expected"),
    [
        ("http://store", {}, None),
        ("http://store", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("https://store", {"HTTP_PROXY": "http://p:1"}, None),
        ("https://store", {"https_proxy": "https://p:1"}, "https://p:1"),
        ("http://store", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("https://store", {"all_proxy": "http://p:1"}, "http://p:1"),
        ("https://store", {"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://store", {"ALL_PROXY": "http://p:1", "NO_PROXY": "store"}, None),
        ("https://s.example", {"ALL_PROXY": "http://p:1", "no_proxy": ".example"}, None),
        ("https://store", {"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("http://store", {"HTTP_PROXY": "p:3128"}, "http://p:3128"),
        ("http://store", {"HTTP_PROXY": "//p:3128"}, "http://p:3128"),
        ("http://store", {"HTTP_PROXY": ""}, None),
        ("http://store", {"HTTP_PROXY": "HTTP://name:password@p:1/"}, "HTTP://name:password@p:1/"),
    ],
)
def test_proxy_of_the_environment_is_found(environment, url, variables, expected):
    for name, value in variables.items():
        environment.setenv(name, value)
    assert find_proxy(url) == expected


def test_proxy_of_the_caller_is_preferred(environment):
    environment.setenv("HTTP_PROXY", "http://ambient:1")
    assert find_proxy("http://store", {"http": "http://mine:1"}) == "http://mine:1"
    assert find_proxy("http://store", {}) is None


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4a", "ftp"])
@pytest.mark.parametrize("url", ["http://store", "https://store"])
def test_proxy_that_cannot_be_used_is_refused_by_name(environment, scheme, url):
    environment.setenv("ALL_PROXY", f"{scheme}://name:pass-word@proxy:1080")
    with pytest.raises(CDNError, match=f"is a '{scheme}' proxy, and only http and https proxies") as caught:
        find_proxy(url)
    assert_password_is_hidden(caught.value)


@pytest.mark.parametrize("proxy", ["http://", "http://name:pass-word@", "http://pass-word@proxy:port", "http://["])
def test_proxy_that_is_no_url_is_refused_without_showing_it(environment, proxy):
    environment.setenv("HTTP_PROXY", proxy)
    with pytest.raises(CDNError, match="the proxy for http is no URL with a host: correct HTTP_PROXY") as caught:
        find_proxy("http://store")
    if "@" in proxy:
        assert_password_is_hidden(caught.value)


def assert_password_is_hidden(error):
    """Also in the variables of our frames; the first is the test's own."""
    ours = error.__traceback__.tb_next
    shown = traceback.TracebackException(type(error), error, ours, capture_locals=True)
    assert "pass-word" not in "".join(shown.format())
