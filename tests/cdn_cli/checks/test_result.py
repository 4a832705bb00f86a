"""Tests the last line of a check: what works, what does not, and what to do first."""

import pytest
from findings import findings_of
from local_store import READER, WRITER

from cdn_cli.checks.finding import Finding
from cdn_cli.checks.result import result_of
from cdn_manager import CDNCredentials

BOTH = CDNCredentials("https://nothing.invalid", *READER, *WRITER)
READS = CDNCredentials("https://nothing.invalid", *READER)
WRITES = CDNCredentials("https://nothing.invalid", None, None, *WRITER)

RIGHT = {"answers": "ok", "uploader writes": "ok", "downloader reads": "ok", "disk": "ok"}


def result(credentials, is_in_bucket=True, **states):
    findings = [Finding(name, state, "text", f"mend {name}") for name, state in states.items()]
    return result_of(findings, credentials, is_in_bucket)


@pytest.mark.parametrize(
    ("credentials", "states", "text"),
    [
        (BOTH, {}, "downloads and uploads work"),
        (READS, {}, "downloads work"),
        (WRITES, {}, "uploads work"),
        (BOTH, {"uploader writes": "failed"}, "downloads work, uploads do not work; to mend first: uploader writes"),
        (BOTH, {"downloader reads": "failed"}, "downloads do not work, uploads work; to mend first: downloader reads"),
        (BOTH, {"disk": "failed"}, "downloads do not work, uploads work; to mend first: disk"),
        (BOTH, {"answers": "failed"}, "downloads and uploads do not work; to mend first: answers"),
        (BOTH, {"bucket": "failed"}, "downloads and uploads do not work; to mend first: bucket"),
        (BOTH, {"downloader reads": "skipped"}, "downloads were not tested, uploads work"),
        (BOTH, {"downloader reads KEY": "failed"},
         "downloads do not work, uploads work; to mend first: downloader reads KEY"),
        (BOTH, {"uploader cannot read": "failed"}, "downloads and uploads work; to mend first: uploader cannot read"),
        (BOTH, {"configuration": "warning"}, "downloads and uploads work"),
    ],
)  # fmt: skip
def test_result_says_what_works_and_what_to_mend_first(credentials, states, text):
    found = result(credentials, **{**RIGHT, **states})
    assert found.text == text
    assert found.state == ("failed" if "failed" in states.values() else "ok")


def test_advice_is_that_of_the_first_failure():
    found = result(BOTH, **{**RIGHT, "answers": "failed", "disk": "failed"})
    assert found.advice == "mend answers"


def test_accepted_keys_are_no_promise_for_a_bucket():
    found = result(BOTH, False, **{"downloader key": "ok", "uploader key": "ok"})
    assert found.text == "downloads and uploads may work"
    assert "BUCKET" in found.advice


def test_result_is_the_last_finding_of_a_real_check(store, bucket):
    found = findings_of(CDNCredentials(store.url, *READER, *WRITER), bucket)
    assert list(found)[-1] == "result"
    assert found["result"] == ("result", "ok", "downloads and uploads work", "")


def test_real_check_tells_whether_the_downloader_may_list(store, bucket):
    assert findings_of(CDNCredentials(store.url, *READER), bucket)["downloader lists"].state == "ok"
    finding = findings_of(CDNCredentials(store.url, *WRITER), bucket)["downloader lists"]  # this key may not
    assert (finding.state, finding.text) == ("skipped", "the store does not let it, as download --prefix needs")
