"""Tests the listing of a prefix: all of it, or an error."""

import pytest
from botocore.exceptions import ClientError
from local_store import READER
from scripted_server import ScriptedServer, answering, resetting

from cdn_engine.download.listing import list_objects
from cdn_manager import CDNCredentials, CDNManager, NotAStoreError, StoreProtocolError

pytestmark = pytest.mark.portable

WHOLE = "<IsTruncated>false</IsTruncated>"
MORE = "<IsTruncated>true</IsTruncated>"


def entries(*keys):
    return "".join(f"<Contents><Key>{key}</Key><Size>5</Size></Contents>" for key in keys)


def token(text):
    return f"<NextContinuationToken>{text}</NextContinuationToken>"


def page(*parts):
    return answering(200, body=f"<ListBucketResult>{''.join(parts)}</ListBucketResult>".encode())


@pytest.fixture
def listed(monkeypatch):
    """A function that lists the prefix `v2/` of a store that gives these answers; the store is its attribute."""
    monkeypatch.setattr("cdn_engine.wire.retry._FIRST_DELAY", 0.001)
    with ScriptedServer() as server, CDNManager(CDNCredentials(server.url, *READER)) as manager:

        def listing(*answers):
            server.fault("GET", *answers)
            found = list_objects(manager.download_client.store, "models", "v2/")
            return {entry.key: entry.size for entry in found}

        listing.server = server
        yield listing


def test_all_pages_of_a_listing_are_read(listed):
    sizes = listed(
        page(MORE, token("x&amp;1"), entries("v2/a")), page(MORE, token("2")), page(WHOLE, entries("v2/b", "v2/c/"))
    )
    assert sizes == {"v2/a": 5, "v2/b": 5, "v2/c/": 5}
    queries = [request.query for request in listed.server.requests]
    assert [query.get("continuation-token") for query in queries] == [None, ["x&1"], ["2"]]
    assert all(query["prefix"] == ["v2/"] for query in queries)


def test_times_in_a_listing_are_not_looked_at(listed):
    entry = "<Contents><Key>v2/a</Key><LastModified>soon</LastModified><Size>5</Size></Contents>"
    assert listed(page(WHOLE, entry)) == {"v2/a": 5}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([page(MORE, entries("v2/a", "v2/b"))], "after 2 keys .+ cut off"),
        ([page(MORE, token(""), entries("v2/a"))], "cut off"),
        ([page(MORE, "<NextMarker>v2/a</NextMarker>", entries("v2/a"))], "cut off"),
        ([page(MORE, token("1"), entries("v2/a")), page(MORE, token("1"), entries("v2/b"))], "after 2 keys .+ circles"),
        ([page(MORE, token(number), entries("v2/a")) for number in range(101)], "after 1 keys .+ circles"),
        ([page(entries("v2/a"))], "no listing"),
        ([page(WHOLE, "<Contents><Size>5</Size></Contents>")], "an object without a key"),
        ([page(WHOLE, "<Contents><Key/><Size>5</Size></Contents>")], "an object without a key"),
        ([page(WHOLE, entries("v1/a"))], "'v1/a', which does not begin with 'v2/'"),
        ([page(WHOLE, "<Contents><Key>v2/a</Key><Size>big</Size></Contents>")], "cannot be read"),
        ([answering(200, body=b"<ListAllMyBucketsResult/>")], "no listing"),
        ([answering(200, body=b"")], "no listing"),
    ],
    ids=[
        "no token", "empty token", "first API", "repeated token", "same page again and again", "not said to be whole",
        "no key", "empty key", "other key", "no number", "other XML", "nothing",
    ],
)  # fmt: skip
def test_listing_that_is_not_whole_is_an_error_at_once(listed, answers, words):
    with pytest.raises(StoreProtocolError, match=words):
        listed(*answers)
    assert len(listed.server.requests) == len(answers)


@pytest.mark.parametrize("body", [b"<html><body>Welcome</body></html>", b"<!DOCTYPE html><html><br></html>"])
def test_web_page_in_the_place_of_a_listing_is_no_store(listed, body):
    with pytest.raises(NotAStoreError, match="web page"):
        listed(answering(200, body=body))
    assert len(listed.server.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [answering(503, "SlowDown"), answering(500), resetting(), answering(200, body=b"<ListBucketResult><Contents><Ke")],
    ids=["503", "500", "reset", "cut off"],
)
def test_fault_on_the_way_is_retried_on_each_page(listed, fault):
    first, last = page(MORE, token("1"), entries("v2/a")), page(WHOLE, entries("v2/b"))
    assert len(listed(fault, fault, first, fault, fault, last)) == 2


def test_entry_without_a_size_has_none(listed):
    assert listed(page(WHOLE, "<Contents><Key>v2/a</Key></Contents>")) == {"v2/a": None}


def test_truncation_written_in_another_case_is_seen(listed):
    first = page("<IsTruncated>True</IsTruncated>", token("1"), entries("v2/a"))
    assert len(listed(first, page(WHOLE, entries("v2/b")))) == 2


def test_objects_are_told_while_pages_arrive_and_none_is_told_twice(listed):
    listed.server.fault("GET", page(MORE, token("1"), entries("v2/a", "v2/b")), page(WHOLE, entries("v2/b", "v2/c")))
    with CDNManager(CDNCredentials(listed.server.url, *READER)) as manager:
        found = list_objects(manager.download_client.store, "models", "v2/")
        assert [next(found).key, next(found).key] == ["v2/a", "v2/b"]
        assert len(listed.server.requests) == 1
        assert [entry.key for entry in found] == ["v2/c"]


def test_token_at_the_end_does_not_matter(listed):
    assert len(listed(page(WHOLE, token("1"), entries("v2/a")), page(WHOLE, token("1")))) == 1


def test_answer_that_stays_unreadable_is_not_called_an_error_of_the_store(listed, monkeypatch):
    monkeypatch.setattr("cdn_engine.wire.retry._MAX_ATTEMPTS", 2)
    with pytest.raises(StoreProtocolError, match="cut off, or no XML"):
        listed(*[answering(200, body=b"<ListBucketResult><Contents><Ke")] * 2)


def test_refusal_is_the_stores_own(listed):
    with pytest.raises(ClientError, match="AccessDenied"):
        listed(answering(403, "AccessDenied"))
