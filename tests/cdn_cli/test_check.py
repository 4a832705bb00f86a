"""Tests `cdn-manager check`: what it writes; tests/cdn_cli/checks tests what it finds."""

import json
import re

import pytest
from command import run


@pytest.mark.portable
def test_check_with_a_failed_finding_exits_with_status_1_and_says_what_to_do(config, capsys):
    assert run("check", "no-such-bucket") == 1
    written = capsys.readouterr().out
    assert re.search(r"^failed  bucket +there is no bucket 'no-such-bucket' -> create it", written, re.MULTILINE)


@pytest.mark.portable
def test_json_is_one_object_per_finding(config, capsys):
    assert run("check", "--json") == 0
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(set(finding) == {"event", "name", "state", "text", "advice"} for finding in findings)


@pytest.mark.portable
def test_quiet_check_writes_only_what_failed(config, capsys):
    assert run("check", "no-such-bucket", "--quiet") == 1
    written = capsys.readouterr()
    assert not written.out
    assert len(written.err.splitlines()) == 1
