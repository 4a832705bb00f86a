"""Answers of the store that never arrive: when the upload can be retried, and when its outcome is unknown."""

import pytest
from botocore.exceptions import EndpointConnectionError
from payloads import PART, size_id
from scripted_server import answering, losing_the_answer, resetting

from cdn_manager import ObjectExistsError, OutcomeUnknownError

PRECONDITION_FAILED = answering(412, "PreconditionFailed")


@pytest.mark.portable
def test_put_is_retried_when_its_answer_is_lost(server, publisher):
    server.fault("PutObject", losing_the_answer)
    publisher.store("bucket", "key", b"payload")
    assert server.operations == ["PutObject", "PutObject"]


# PutObject with ``overwrite=False``


@pytest.mark.parametrize("size", [0, 1, PART], ids=size_id)
def test_conditional_put_has_an_unknown_outcome_when_its_answer_is_lost(proxy, publisher_at, bucket, admin, size):
    proxy.fault("PutObject", losing_the_answer)
    with pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher_at(proxy.url).store(bucket, "key", bytes(size), overwrite=False)
    assert admin.head_object(Bucket=bucket, Key="key")["ContentLength"] == size


@pytest.mark.portable
def test_conditional_put_has_a_known_outcome_when_its_body_did_not_arrive(server, publisher):
    server.fault("PutObject", resetting(after=1000), PRECONDITION_FAILED)
    with pytest.raises(ObjectExistsError):
        publisher.store("bucket", "key", bytes(PART), overwrite=False)


@pytest.mark.portable
def test_conditional_put_has_a_known_outcome_when_it_was_never_sent(server, publisher):
    def fail_once(**_):
        events.unregister("before-send.s3", fail_once)
        raise EndpointConnectionError(endpoint_url=server.url)

    server.fault("PutObject", PRECONDITION_FAILED)
    events = publisher.upload_client.meta.events
    events.register_first("before-send.s3", fail_once)
    with pytest.raises(ObjectExistsError):
        publisher.store("bucket", "key", b"", overwrite=False)


@pytest.mark.portable
def test_conditional_put_has_a_known_outcome_when_a_busy_store_turned_it_away(server, publisher):
    server.fault("PutObject", answering(503, "SlowDown"), PRECONDITION_FAILED)
    with pytest.raises(ObjectExistsError):
        publisher.store("bucket", "key", b"payload", overwrite=False)


@pytest.mark.portable
@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_conditional_put_has_an_unknown_outcome_when_a_proxy_reports_a_failure(server, publisher, status):
    server.fault("PutObject", answering(status, body=b"upstream"), PRECONDITION_FAILED)
    with pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher.store("bucket", "key", b"payload", overwrite=False)


@pytest.mark.portable
@pytest.mark.usefixtures("short_rest")
@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
@pytest.mark.parametrize("then", [answering(503, "SlowDown"), answering(403, "AccessDenied")], ids=["503", "403"])
def test_outcome_stays_unknown_whatever_follows_a_lost_answer(server, publisher, monkeypatch, operation, then):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 3)
    server.fault(operation, losing_the_answer, *[then] * 9)
    size = 1 if operation == "PutObject" else PART + 1
    with pytest.raises(OutcomeUnknownError, match="may be stored"):
        publisher.store("bucket", "key", bytes(size), overwrite=False)
