"""CDNCredentials: what it accepts, and what it never shows."""

import copy
import pickle
import traceback

import pytest

from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.portable

HOST = "https://cdn.example.com"
READ_SECRET = "the-read-secret"
WRITE_SECRET = "the-write-secret"


@pytest.fixture
def credentials():
    return CDNCredentials(HOST, "read-key", READ_SECRET, "write-key", WRITE_SECRET)


@pytest.mark.parametrize(
    "host",
    [
        "",
        None,
        "cdn.example.com",
        "//cdn.example.com",
        "ftp://cdn.example.com",
        "s3://bucket",
        "https://",
        "https://:443",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://a b",
        "http://cdn.example.com\n",
    ],
)
def test_a_host_that_is_no_http_url_is_refused(host):
    with pytest.raises(ValueError, match="host must be a URL such as"):
        CDNCredentials(host, "read-key", READ_SECRET, "write-key", WRITE_SECRET)


@pytest.mark.parametrize("host", ["https://user:a-password@cdn.example.com", "https://cdn.example.com/?token=a-password"])
def test_a_host_with_a_secret_in_it_is_refused_without_showing_it(host):
    with pytest.raises(ValueError, match="host must hold no") as caught:
        CDNCredentials(host, "read-key", READ_SECRET, None, None)
    assert "a-password" not in str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "missing"),
    [
        (("read-key", None, "write-key", WRITE_SECRET), "downloader_access_secret"),
        ((None, READ_SECRET, "write-key", WRITE_SECRET), "downloader_access_key"),
        (("read-key", READ_SECRET, "write-key", ""), "uploader_access_secret"),
        (("read-key", READ_SECRET, "", WRITE_SECRET), "uploader_access_key"),
        ((None, None, "", ""), "downloader_access_key or uploader_access_key"),
    ],
)
def test_half_a_pair_or_none_is_refused_by_name(pairs, missing):
    with pytest.raises(ValueError, match=missing) as caught:
        CDNCredentials(HOST, *pairs)
    assert READ_SECRET not in str(caught.value)
    assert WRITE_SECRET not in str(caught.value)


@pytest.mark.parametrize("position", range(6))
def test_a_wrong_type_is_refused_by_the_name_of_the_argument(position):
    names = [
        "host",
        "downloader_access_key",
        "downloader_access_secret",
        "uploader_access_key",
        "uploader_access_secret",
        "region",
    ]
    arguments = [HOST, "read-key", READ_SECRET, "write-key", WRITE_SECRET, "us-east-1"]
    arguments[position] = b"a-bytes-secret"
    with pytest.raises(TypeError, match=names[position]) as caught:
        CDNCredentials(*arguments)
    assert "a-bytes-secret" not in str(caught.value)


def test_an_empty_region_is_refused():
    with pytest.raises(ValueError, match="region is empty"):
        CDNCredentials(HOST, "read-key", READ_SECRET, None, None, "")


def test_the_public_attributes_can_be_read_and_not_set(credentials):
    assert credentials.host == HOST
    assert credentials.downloader_access_key == "read-key"
    assert credentials.uploader_access_key == "write-key"
    assert credentials.region == "us-east-1"
    for name in ("host", "downloader_access_key", "uploader_access_key", "region"):
        with pytest.raises(AttributeError):
            setattr(credentials, name, "another")


def test_no_view_of_the_credentials_shows_a_secret(credentials):
    with CDNManager(credentials) as manager:
        views = [repr(thing) + str(thing) + f"{thing}" + str(dir(thing)) for thing in (credentials, manager)]
    for name in dir(credentials):
        views.append(repr(getattr(credentials, name)))
    assert not any(secret in view for view in views for secret in (READ_SECRET, WRITE_SECRET))
    assert not any("secret" in name for name in dir(credentials))
    with pytest.raises(TypeError):
        vars(credentials)
    for name in ("downloader_access_secret", "uploader_access_secret"):
        with pytest.raises(AttributeError):
            getattr(credentials, name)


def test_a_traceback_shows_no_secret_even_with_the_variables_of_its_frames():
    credentials = CDNCredentials(HOST, "read-key", READ_SECRET, "write-key", WRITE_SECRET, "no region")
    with pytest.raises(ValueError, match="region") as caught:
        CDNManager(credentials)
    text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "no region" in text
    assert READ_SECRET not in text
    assert WRITE_SECRET not in text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_is_refused(credentials, protocol):
    with CDNManager(credentials) as manager:
        for thing in (credentials, manager):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                pickle.dumps(thing, protocol)


def test_copying_is_refused(credentials):
    with CDNManager(credentials) as manager:
        for thing in (credentials, manager):
            for copying in (copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot be pickled or copied"):
                    copying(thing)
