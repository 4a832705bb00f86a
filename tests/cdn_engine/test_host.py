"""What is said about an endpoint URL before anything is sent to it."""

import random

import pytest

from cdn_engine.host import objection_to, warn_about
from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.portable


@pytest.mark.parametrize(
    "host",
    ["http://store", "https://cdn.example.com/", "http://10.0.0.1:9000", "http://[::1]:8333", "https://xn--bcher-kva.de",
     "https://cdn.example.com.", "https://abc.supabase.co/storage/v1/s3", "http://a-b--c.d1", f"http://{'a' * 63}.de"],
)  # fmt: skip
def test_host_name_address_and_path_are_accepted(host):
    assert objection_to(host) is None
    CDNManager(CDNCredentials(host, "key", "secret")).close()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("http://my_store:9000", "must not contain an underscore.*alias without it, or use its address"),
        ("http://bücher.example", "must be ASCII.*xn--"),
        (f"http://{'a' * 64}.de", "must contain a host name"),
        (f"http://{'a.' * 127}de", "must contain a host name"),
        ("http://-a.de", "must contain a host name"),
        ("http://a..de", "must contain a host name"),
        ("http://a,b", "must contain a host name"),
    ],
)
def test_name_that_no_host_can_have_is_refused_in_one_sentence(host, words):
    with pytest.raises(ValueError, match=words) as caught:
        CDNCredentials(host, "key", "secret")
    assert host[7:].partition(":")[0] not in str(caught.value)


def test_path_in_the_host_is_logged_once(log_lines):
    host = f"https://store-{random.randrange(1 << 32)}.invalid/models"
    for _ in range(3):
        warn_about(host)
    (line,) = log_lines()
    assert line == "host contains the path '/models', which comes before every bucket: if it is the bucket, remove it"


def test_slash_at_the_end_of_the_host_is_not_logged(log_lines):
    warn_about(f"https://store-{random.randrange(1 << 32)}.invalid/")
    assert not log_lines()
