"""Tests what is said about an access key and a secret that stand in each other's place."""

import pytest
from botocore.exceptions import ClientError
from command import run, write_config
from findings import findings_of, states
from local_store import READER, WRITER
from scripted_server import ScriptedServer

from cdn_cli.checks.rejection import Rejection
from cdn_config import load_credentials
from cdn_config.exchanged import exchanged_pairs
from cdn_manager import CDNCredentials

SECRETS = (READER[1], WRITER[1])
LONG = ("GK" + "0" * 24, "f" * 64)  # as some stores hand them out


def exchanged(pair):
    return pair[::-1]


def failed(found):
    return [name for name, state in states(found).items() if state == "failed"]


@pytest.mark.usefixtures("folder")
def test_exchanged_downloader_key_and_secret_are_named(store, bucket, capsys):
    write_config(store.url, exchanged(READER), WRITER)
    found = findings_of(load_credentials("cdn.yaml"), bucket, path="cdn.yaml")
    assert failed(found)[0] == "bucket"
    assert found["bucket"].text.endswith("the downloader's access key and secret are exchanged")
    assert "downloader_access_key and downloader_access_secret" in found["bucket"].advice
    assert found["uploader writes"].state == "ok"


@pytest.mark.usefixtures("folder")
def test_exchanged_uploader_key_and_secret_are_named(store, bucket):
    write_config(store.url, READER, exchanged(WRITER))
    found = findings_of(load_credentials("cdn.yaml"), bucket, path="cdn.yaml")
    assert failed(found) == ["uploader writes"]
    assert found["uploader writes"].text == "the uploader's access key and secret are exchanged"


@pytest.mark.usefixtures("folder")
def test_exchanged_uploader_key_and_secret_are_named_on_a_machine_that_only_uploads(store, bucket):
    write_config(store.url, None, exchanged(WRITER))
    found = findings_of(load_credentials("cdn.yaml"), bucket, path="cdn.yaml")
    assert found["uploader writes"].text == "the uploader's access key and secret are exchanged"


@pytest.mark.usefixtures("folder")
def test_nothing_that_is_printed_about_an_exchange_shows_a_secret(store, bucket, capsys):
    write_config(store.url, exchanged(READER), exchanged(WRITER))
    assert run("check", bucket, "--verbose") == 1
    assert run("check", bucket, "--json") == 1
    written = capsys.readouterr()
    assert "exchanged" in written.out
    assert not [secret for secret in SECRETS if secret in written.out + written.err]


@pytest.mark.usefixtures("folder")
def test_access_key_that_is_merely_unknown_is_not_called_exchanged(store, bucket):
    write_config(store.url, READER, ("somebody-unknown", "else"))
    finding = findings_of(load_credentials("cdn.yaml"), bucket, path="cdn.yaml")["uploader writes"]
    assert finding.state == "failed"
    assert "InvalidAccessKeyId" in finding.text
    assert "stand in each other's place" in finding.advice  # it may be all the same: the lengths prove nothing


@pytest.mark.usefixtures("folder")
def test_secret_that_is_longer_is_never_tried_as_an_access_key():
    write_config("https://cdn.example.com", READER, WRITER)
    assert exchanged_pairs("cdn.yaml") == {}


@pytest.mark.portable
@pytest.mark.usefixtures("folder")
def test_secret_in_the_place_of_the_key_is_not_repeated_when_the_store_does(answering):
    body = f"<Error><Code>AccessDenied</Code><Message>No such key: {READER[1]}</Message></Error>".encode()
    write_config(answering(403, {"Content-Type": "application/xml"}, body), exchanged(READER), None)
    found = findings_of(load_credentials("cdn.yaml"), "models", "key", path="cdn.yaml")
    assert "No such key: (downloader_access_key)" in found["downloader reads"].text
    assert READER[1] not in str(found)


@pytest.mark.portable
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("pair", "refusal", "acceptance"),
    [
        (READER, (400, "AuthorizationHeaderMalformed"), (403, "AccessDenied")),
        (LONG, (403, "AccessDenied"), (404, "NoSuchBucket")),  # a store that never says that a key is unknown
    ],
)
def test_exchange_is_recognized_by_what_the_store_says_to_the_right_pair(pair, refusal, acceptance):
    with ScriptedServer() as server:
        server.fault("GET", *[_answer(pair, acceptance, refusal)] * 9)
        write_config(server.url, exchanged(pair), None)
        found = findings_of(load_credentials("cdn.yaml"), "models", path="cdn.yaml")
    assert found["bucket"].text.endswith("the downloader's access key and secret are exchanged")
    assert pair[1] not in str(found)


@pytest.mark.portable
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("refusal", [(403, "AccessDenied"), (403, "SignatureDoesNotMatch")])
def test_short_secret_of_a_key_that_the_store_may_know_is_never_sent(refusal):
    pair = ("edge-machines", "s3cr3t")
    with ScriptedServer() as server:
        server.fault("GET", *[_answer(pair, refusal, refusal)] * 9)
        write_config(server.url, pair, None)
        findings_of(load_credentials("cdn.yaml"), "models", "key", path="cdn.yaml")
    assert pair[0].encode() in b"".join(request.head for request in server.requests)
    assert pair[1].encode() not in b"".join(request.head for request in server.requests)


def _answer(pair, acceptance, refusal):
    """An action: answer a request that is signed with the access key of ``pair``, or another one."""

    def act(exchange):
        known = f"Credential={pair[0]}/" in exchange.request.headers.get("authorization", "")
        status, code = acceptance if known else refusal
        exchange.answer(status, [], f"<Error><Code>{code}</Code><Message>{pair[1]}</Message></Error>".encode())

    return act


@pytest.mark.portable
@pytest.mark.usefixtures("folder")
def test_exchange_is_not_tried_where_others_can_read_what_is_sent(answering, monkeypatch):
    body = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown</Message></Error>"
    monkeypatch.setenv("HTTP_PROXY", answering(403, {"Content-Type": "application/xml"}, body))
    monkeypatch.setattr(Rejection, "_try", None)
    write_config("http://store.example.com", exchanged(READER), None)
    finding = findings_of(load_credentials("cdn.yaml"), "models", path="cdn.yaml")["bucket"]
    assert finding.state == "failed"
    assert "access key is longer than its secret" in finding.text
    assert finding.advice.startswith("exchange downloader_access_key and downloader_access_secret")


@pytest.mark.portable
def test_configuration_that_cannot_be_read_twice_is_no_failure(tmp_path):
    assert exchanged_pairs(tmp_path / "gone") == {}
    (tmp_path / "empty").touch()
    assert exchanged_pairs(tmp_path / "empty") == {}


@pytest.mark.portable
def test_refusal_of_an_anonymous_download_is_not_called_that_of_a_key():
    rejection = Rejection(CDNCredentials("https://nothing.invalid", anonymous=True), {}, "models")
    refusal = ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "GetObject")
    finding = rejection.finding("downloader reads", "downloader", refusal, "correct the downloader key")
    assert finding.text.startswith("without a key: ")
    assert finding.advice == "have the bucket made public, or configure a downloader key"
