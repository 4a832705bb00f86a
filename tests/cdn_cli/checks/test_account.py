"""Tests what is found out about the keys without a bucket."""

import pytest
from command import write_config
from findings import findings_of, states
from local_store import READER, WRITER

from cdn_config import load_credentials
from cdn_manager import CDNCredentials

pytestmark = pytest.mark.usefixtures("folder")


def keys_of(found):
    return {name: state for name, state in states(found).items() if name in ("downloader key", "uploader key")}


def test_right_keys_are_accepted_and_what_they_list_is_told(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, *WRITER))
    assert keys_of(found) == {"downloader key": "ok", "uploader key": "ok"}
    assert bucket in found["downloader key"].text
    assert found["uploader key"].text == "the store accepts it; buckets that it may see: none"
    assert found["result"] == ("result", "ok", "downloads and uploads may work",
                               "name a BUCKET to see what the keys may do there")  # fmt: skip


def test_wrong_secret_is_told(store):
    found = findings_of(CDNCredentials(store.url, READER[0], "wrong", *WRITER))
    assert keys_of(found) == {"downloader key": "failed", "uploader key": "ok"}
    assert "SignatureDoesNotMatch" in found["downloader key"].text
    assert found["downloader key"].advice == "correct downloader_access_secret"
    assert found["result"][1:] == ("failed", "downloads do not work, uploads may work; to mend first: downloader key",
                                   "correct downloader_access_secret")  # fmt: skip


def test_unknown_key_is_told(store):
    found = findings_of(CDNCredentials(store.url, *READER, "nobody", "secret"))
    assert keys_of(found) == {"downloader key": "ok", "uploader key": "failed"}
    assert "InvalidAccessKeyId" in found["uploader key"].text
    assert found["uploader key"].advice.startswith("correct uploader_access_key")


def test_exchanged_halves_are_told(store):
    write_config(store.url, READER[::-1], WRITER)
    found = findings_of(load_credentials("cdn.yaml"), path="cdn.yaml")
    assert found["downloader key"].text == "the downloader's access key and secret are exchanged"
    assert READER[1] not in str(found)


def test_unknown_key_that_is_longer_than_its_secret_is_not_called_exchanged(store):
    write_config(store.url, ("a-key-that-nobody-knows", "short"), None)
    found = findings_of(load_credentials("cdn.yaml"), path="cdn.yaml")
    assert "InvalidAccessKeyId" in found["downloader key"].text


@pytest.mark.portable
@pytest.mark.parametrize(
    ("status", "code", "state", "advice"),
    [
        (403, "AccessDenied", "ok", ""),  # it may not list, which says that the store knows it
        (403, "RequestTimeTooSkewed", "failed", "set this machine's clock, or the store's"),
        (400, "ExpiredToken", "failed", "get a new key pair with its session token"),
        (400, "InvalidToken", "failed", "correct downloader_session_token"),
        (401, "Unauthorized", "failed", "correct the downloader key"),
        (501, "NotImplemented", "skipped", "name a BUCKET"),
    ],
)
def test_refusal_says_what_is_wrong_with_the_key(answering, status, code, state, advice):
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    url = answering(status, {"Content-Type": "application/xml"}, body)
    finding = findings_of(CDNCredentials(url, *READER))["downloader key"]
    assert (finding.state, finding.advice) == (state, advice)


@pytest.mark.portable
def test_many_buckets_are_named_up_to_five(answering):
    names = "".join(f"<Bucket><Name>b{number}</Name></Bucket>" for number in range(12))
    body = f"<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>".encode()
    finding = findings_of(CDNCredentials(answering(200, {"Content-Type": "application/xml"}, body), *READER))
    assert finding["downloader key"].text.endswith("buckets that it may see: b0, b1, b2, b3, b4 and 7 more")


@pytest.mark.portable
def test_absent_key_is_not_tested(moto_url):
    found = findings_of(CDNCredentials(moto_url, *READER))
    assert keys_of(found) == {"downloader key": "ok", "uploader key": "skipped"}


@pytest.mark.portable
def test_without_a_key_there_is_nothing_to_try_but_a_bucket(moto_url):
    found = findings_of(CDNCredentials(moto_url, anonymous=True))
    assert found["configuration"].text.endswith("with anonymous downloads")
    assert found["downloader key"].state == "skipped"
    assert found["result"] == ("result", "ok", "downloads were not tested",
                               "name a BUCKET to see what the keys may do there")  # fmt: skip
