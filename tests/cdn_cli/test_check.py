"""Tests `cdn-manager check`: what it writes; tests/cdn_cli/checks tests what it finds."""

import json
import re
import signal

import pytest
from command import run, write_config
from local_store import WRITER

from cdn_cli.checks.bucket import BucketCheck


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


@pytest.mark.portable
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_first_line_says_which_configuration_and_host(config, moto_url, folder, capsys, form):
    (folder / "cdn.yaml").rename(folder / "edge.yaml")
    assert run("check", "--config", "edge.yaml", *form) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert str(folder / "edge.yaml") in first
    assert moto_url in first


@pytest.mark.portable
def test_uploader_that_may_read_is_a_warning_with_status_0_and_a_failure_otherwise(moto_url, moto_bucket, capsys):
    write_config(moto_url, None, WRITER)
    assert run("check", moto_bucket) == 1
    assert re.search("^failed  uploader cannot read", capsys.readouterr().out, re.MULTILINE)
    assert run("check", moto_bucket, "--uploader-may-read") == 0
    assert re.search("^warning uploader cannot read", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.portable
def test_into_names_the_folder_whose_disk_is_tested(config, folder, capsys):
    assert run("check", "--into", "elsewhere", "--json") == 0
    assert str(folder) in json.loads(capsys.readouterr().out.splitlines()[-2])["text"]


@pytest.mark.portable
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_names_cannot_control_the_terminal(config, folder, capsys, form):
    (folder / "cdn.yaml").rename(folder / "\x1b[2J\x7f\u202e.yaml")
    assert run("check", "--config", "\x1b[2J\x7f\u202e.yaml", *form) == 0
    written = capsys.readouterr().out
    assert written.replace("\n", "").isprintable()
    assert ".yaml" in written


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signal_ends_the_check_like_ctrl_c_and_nothing_is_left_behind(
    config, moto_bucket, stored, capsys, monkeypatch, name
):
    number = getattr(signal, name)
    monkeypatch.setattr(BucketCheck, "_downloader_reads", lambda *_: signal.raise_signal(number))
    before = signal.getsignal(number)
    assert run("check", moto_bucket) == 128 + number
    written = capsys.readouterr()
    assert re.search("^ok +uploader writes", written.out, re.MULTILINE)
    assert written.err.splitlines()[-1] == "cdn-manager: interrupted"
    assert stored() == []
    assert signal.getsignal(number) == before
