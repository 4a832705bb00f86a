"""CDNCredentials: what it accepts, and that no secret ever shows."""

import copy
import pickle
import traceback

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from tracebacks import secrets_shown

from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.portable

HOST = "https://cdn.example.com"
READ_SECRET = "the-read-secret"
WRITE_SECRET = "the-write-secret"


def credentials_in(region):
    return CDNCredentials(HOST, "read-key", READ_SECRET, "write-key", WRITE_SECRET, region)


@pytest.fixture
def credentials():
    return credentials_in("us-east-1")


# Arguments


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
def test_host_that_is_not_an_http_url_is_a_value_error(host):
    with pytest.raises(ValueError, match="host must be a URL such as"):
        CDNCredentials(host, "read-key", READ_SECRET, "write-key", WRITE_SECRET)


@pytest.mark.parametrize(
    "host",
    ["https://user:a-password@cdn.example.com", "https://cdn.example.com/?token=a-password"],
    ids=["password", "query"],
)
def test_host_that_contains_a_secret_is_rejected_without_showing_it(host):
    with pytest.raises(ValueError, match="host must not contain") as caught:
        CDNCredentials(host, "read-key", READ_SECRET, None, None)
    assert "a-password" not in str(caught.value)
    assert not secrets_shown(caught.value, "a-password")


@pytest.mark.parametrize(
    ("pairs", "missing"),
    [
        (("read-key", None, "write-key", WRITE_SECRET), "downloader_access_secret"),
        ((None, READ_SECRET, "write-key", WRITE_SECRET), "downloader_access_key"),
        (("read-key", READ_SECRET, "write-key", ""), "uploader_access_secret"),
        (("read-key", READ_SECRET, "", WRITE_SECRET), "uploader_access_key"),
        ((None, None, "", ""), "downloader_access_key or uploader_access_key"),
    ],
    ids=["downloader-secret", "downloader-key", "uploader-secret", "uploader-key", "both-pairs"],
)
def test_missing_half_of_a_key_pair_is_named(pairs, missing):
    with pytest.raises(ValueError, match=missing) as caught:
        CDNCredentials(HOST, *pairs)
    assert READ_SECRET not in str(caught.value)
    assert WRITE_SECRET not in str(caught.value)


ARGUMENTS = {
    "host": HOST,
    "downloader_access_key": "read-key",
    "downloader_access_secret": READ_SECRET,
    "uploader_access_key": "write-key",
    "uploader_access_secret": WRITE_SECRET,
    "region": "us-east-1",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_argument_of_the_wrong_type_is_named(name):
    arguments = {**ARGUMENTS, name: b"a-bytes-secret"}
    with pytest.raises(TypeError, match=name) as caught:
        CDNCredentials(*arguments.values())
    assert "a-bytes-secret" not in str(caught.value)


def test_empty_region_is_a_value_error():
    with pytest.raises(ValueError, match="region is empty"):
        credentials_in("")


def test_public_attributes_are_read_only(credentials):
    assert credentials.host == HOST
    assert credentials.downloader_access_key == "read-key"
    assert credentials.uploader_access_key == "write-key"
    assert credentials.region == "us-east-1"
    for name in ("host", "downloader_access_key", "uploader_access_key", "region"):
        with pytest.raises(AttributeError):
            setattr(credentials, name, "another")


# Secrets


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


def test_traceback_with_local_variables_shows_no_secret():
    credentials = credentials_in("no region")
    with pytest.raises(ValueError, match="region") as caught:
        CDNManager(credentials)
    text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "no region" in text
    assert READ_SECRET not in text
    assert WRITE_SECRET not in text


@pytest.mark.parametrize(
    ("region", "arguments", "expected"),
    [
        ("no region", {}, ValueError),
        ("us-east-1", {"config": {"read_timeout": 7}}, TypeError),
        ("us-east-1", {"transfer_config": {"max_concurrency": 7}}, TypeError),
        ("us-east-1", {"config": Config(defaults_mode="no-such-mode")}, BotoCoreError),
        ("us-east-1", {"deadline": -1}, ValueError),
    ],
    ids=["region", "config-of-the-wrong-type", "transfer-config-of-the-wrong-type", "config", "deadline"],
)
def test_no_frame_shows_a_secret_after_a_manager_could_not_be_made(region, arguments, expected):
    credentials = credentials_in(region)
    with pytest.raises(expected) as caught:
        CDNManager(credentials, **arguments)
    assert secrets_shown(caught.value, READ_SECRET, WRITE_SECRET) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize(
    "where",
    [
        "boto3.session.Session.client",
        "botocore.session.Session.create_client",
        "botocore.client.ClientCreator.create_client",
        "botocore.endpoint.EndpointCreator.create_endpoint",
    ],
)
def test_no_frame_shows_a_secret_after_ctrl_c_within_boto3(credentials, monkeypatch, where, error):
    def interrupted(*_, **__):
        raise error

    monkeypatch.setattr(where, interrupted)
    with pytest.raises(error) as caught:
        CDNManager(credentials)
    assert secrets_shown(caught.value, READ_SECRET, WRITE_SECRET) == []


# Copies


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_is_a_type_error(credentials, protocol):
    with CDNManager(credentials) as manager:
        for thing in (credentials, manager):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                pickle.dumps(thing, protocol)


def test_copying_is_a_type_error(credentials):
    with CDNManager(credentials) as manager:
        for thing in (credentials, manager):
            for copying in (copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot be pickled or copied"):
                    copying(thing)
