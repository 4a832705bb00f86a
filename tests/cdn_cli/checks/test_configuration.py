"""Tests the finding about the configuration: which file, which host, and whether host names a bucket."""

import pytest
from findings import findings_of
from local_store import READER, WRITER

from cdn_manager import CDNCredentials


@pytest.mark.portable
def test_configuration_names_its_file_host_and_pairs(folder):
    credentials = CDNCredentials("https://nothing.invalid", *READER)
    finding = findings_of(credentials, path="cdn.yaml")["configuration"]
    assert finding.state == "ok"
    assert finding.text == f"{folder / 'cdn.yaml'}: https://nothing.invalid, with keys for downloader"


@pytest.mark.portable
def test_configuration_is_the_first_finding():
    assert next(iter(findings_of(CDNCredentials("https://nothing.invalid", *READER)))) == "configuration"


@pytest.mark.portable
def test_host_with_a_path_is_a_warning():
    finding = findings_of(CDNCredentials("https://nothing.invalid/storage/s3", *READER), "models")["configuration"]
    assert finding.state == "warning"
    assert "'storage/s3'" in finding.text


@pytest.mark.portable
def test_host_that_ends_with_the_bucket_fails_and_the_right_host_is_told():
    finding = findings_of(CDNCredentials("https://nothing.invalid/s3/models/", *READER), "models")["configuration"]
    assert (finding.state, finding.advice) == ("failed", "write host: https://nothing.invalid/s3")


def test_bucket_in_the_path_of_host_fails_with_the_right_host(store, bucket):
    found = findings_of(CDNCredentials(f"{store.url}/{bucket}", *READER, *WRITER), bucket)
    assert found["bucket"].state == "failed"
    assert found["bucket"].advice == f"write host: {store.url}"


def test_other_bucket_in_the_path_of_host_fails_with_the_right_host(store, bucket):
    found = findings_of(CDNCredentials(f"{store.url}/{bucket}", *READER), "models")
    assert (found["bucket"].state, found["bucket"].advice) == ("failed", f"write host: {store.url}")


NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"


@pytest.mark.portable
def test_bucket_in_the_name_of_host_fails_with_the_right_host(answering, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", answering(404, {"Content-Type": "application/xml"}, NO_SUCH_KEY))
    finding = findings_of(CDNCredentials("http://models.store.example.com:8333", *READER), "models")["bucket"]
    assert (finding.state, finding.advice) == ("failed", "write host: http://store.example.com:8333")


@pytest.mark.portable
def test_bucket_that_is_taken_for_an_object_is_told_from_a_missing_one(answering):
    url = answering(404, {"Content-Type": "application/xml"}, NO_SUCH_KEY)
    finding = findings_of(CDNCredentials(url, *READER), "models")["bucket"]
    assert finding.state == "failed"
    assert "takes 'models' for an object" in finding.text


@pytest.mark.portable
def test_missing_bucket_at_a_host_with_a_path_is_not_called_a_bucket_in_host(answering):
    body = b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>"
    url = answering(404, {"Content-Type": "application/xml"}, body)
    finding = findings_of(CDNCredentials(f"{url}/s3", *READER), "models")["bucket"]
    assert finding.text == f"there is no bucket 'models' at {url}/s3"
    assert finding.advice.startswith("create it")
    assert finding.advice.endswith(f"if host names a bucket, write host: {url}")
