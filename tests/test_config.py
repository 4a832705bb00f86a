"""Tests what is read from cdn.yaml, and what is said about one that is broken."""

import logging
import os
import re
import traceback
from pathlib import Path

import pytest

from cdn_config import ConfigError, load_credentials, parse_credentials

PAGE = Path(__file__).parent.parent / "docs" / "cdn-yaml.md"
CASE = re.compile(r"^### ([^\n]+)\n\n```yaml\n(.*?)```\n\n```text\n([^\n]+)\n```$", re.DOTALL | re.MULTILINE)
BROKEN = CASE.findall(PAGE.read_text(encoding="utf-8"))

HOST = "host: https://cdn.example.com\n"
READER = "downloader_access_key: AKIDREADER\ndownloader_access_secret: s3cr3t\n"
WRITER = "uploader_access_key: AKIDWRITER\nuploader_access_secret: s3cr3t\n"

pytestmark = pytest.mark.portable


def message(text):
    with pytest.raises(ConfigError) as caught:
        parse_credentials(text)
    return str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN])
def test_broken_file_gets_the_message_of_the_documentation(text, expected):
    assert message(text) == expected


def test_the_documentation_shows_every_broken_file_as_a_case():
    assert len(BROKEN) == PAGE.read_text(encoding="utf-8").count("\n### ") >= 25


@pytest.mark.parametrize("text", [pytest.param(case[1], id=case[0]) for case in BROKEN])
def test_message_about_a_broken_file_holds_no_value(text):
    with pytest.raises(ConfigError) as caught:
        parse_credentials(text)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    for value in ("s3cr3t", "s3\\cr3t", "AKIDREADER", "//cdn", "admin", "blue", "wJalrXUtnFEMI", "er-secret"):
        assert value not in re.sub(r"'https://cdn.example.com'", "", told)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{HOST}\tregion: eu-west-1\n", "line 2: a tab where YAML wants spaces", id="tab"),
        pytest.param(f"{HOST}region: eu\x00west\n", "line 2: a control character", id="NUL"),
        pytest.param(f"{HOST}region: ,\n", "line 2: this is not YAML", id="comma"),
        pytest.param("[" * 500, "this is not YAML: hundreds of brackets", id="brackets"),
        pytest.param("host: &a [*a, *a]\n", "line 1: a value that begins with '&', '*' or '!' needs quotes", id="bomb"),
    ],
)
def test_what_a_page_cannot_show_gets_a_message_as_well(text, expected):
    assert message(text) == expected


def test_both_pairs_and_the_region_are_read():
    credentials = parse_credentials(f"{HOST}{READER}{WRITER}region: eu-west-1\n")
    assert credentials.host == "https://cdn.example.com"
    assert credentials.downloader_access_key == "AKIDREADER"
    assert credentials.uploader_access_key == "AKIDWRITER"
    assert credentials.region == "eu-west-1"


@pytest.mark.parametrize(("pair", "absent"), [(READER, "uploader"), (WRITER, "downloader")])
def test_one_pair_is_enough(pair, absent):
    credentials = parse_credentials(HOST + pair)
    assert getattr(credentials, f"{absent}_access_key") is None
    assert credentials.region == "us-east-1"


def test_quoted_values_may_begin_with_anything():
    credentials = parse_credentials(f"{HOST}downloader_access_key: '*&!@|'\ndownloader_access_secret: '123'\n")
    assert credentials.downloader_access_key == "*&!@|"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cdn.yaml"
    path.touch(mode=0o600)
    return path


def test_message_about_a_file_begins_with_its_name(file):
    file.write_text("")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: empty: "):
        load_credentials(file)


def test_byte_order_mark_is_no_part_of_the_first_name(file):
    file.write_bytes(b"\xef\xbb\xbf" + (HOST + READER).encode())
    assert load_credentials(file).host == "https://cdn.example.com"


def test_file_in_another_encoding_is_told_from_a_broken_one(file):
    file.write_bytes(HOST.encode() + "region: für\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="line 2: this is not UTF-8"):
        load_credentials(file)


def test_file_that_is_too_large_for_a_configuration_is_refused(file):
    file.write_text(HOST + READER + "#" * (64 << 10))
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        load_credentials(file)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_file_that_others_can_read_is_warned_about(file, caplog, mode, warned):
    file.write_text(HOST + READER)
    file.chmod(mode)
    with caplog.at_level(logging.WARNING, logger="cdn_manager"):
        load_credentials(file)
    assert bool(caplog.messages) == warned
    assert not warned or caplog.messages == [
        f"{file} holds secrets, and other users of this machine can read it: chmod 600 {file}"
    ]
