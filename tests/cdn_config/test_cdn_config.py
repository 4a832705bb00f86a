"""Tests how cdn.yaml is read, and the error messages for broken files."""

import logging
import os
import re
import traceback
from pathlib import Path

import pytest

from cdn_config import ConfigError, load_credentials, parse_credentials

PAGE = Path(__file__).parents[2] / "docs" / "cdn-yaml.md"
CASES = (Path(__file__).parent / "broken_files.txt").read_text(encoding="utf-8")
BROKEN = re.findall(r"^==== (.+)\n((?:.*\n)*?)---> (.+)$", CASES, re.MULTILINE)

HOST = "host: https://cdn.example.com\n"
DOWNLOADER = "downloader_access_key: AKIDREADER\ndownloader_access_secret: s3cr3t\n"
UPLOADER = "uploader_access_key: AKIDWRITER\nuploader_access_secret: s3cr3t\n"

pytestmark = pytest.mark.portable


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cdn.yaml"
    path.touch(mode=0o600)
    return path


def message(text):
    with pytest.raises(ConfigError) as caught:
        parse_credentials(text)
    return str(caught.value)


def revealed(function, argument):
    """Return what an exception tracker sees of the error: its chain, its traceback, and the frames' local variables."""
    with pytest.raises(ConfigError) as caught:
        function(argument)
    _, *frames = traceback.walk_tb(caught.value.__traceback__)
    assert frames
    chain = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    return chain + repr([frame.f_locals for frame, _ in frames])


def test_every_case_in_the_data_file_is_read():
    assert len(BROKEN) == CASES.count("\n==== ") >= 58


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN])
def test_broken_file_gets_its_message(text, expected):
    assert message(text) == expected


def test_message_shown_in_the_documentation_is_exact():
    shown = re.search(r"```yaml\n(hots:.*?)```.*?```text\ncdn.yaml: (.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert message(shown[1]) == " ".join(shown[2].split())


@pytest.mark.parametrize("text", [pytest.param(case[1], id=case[0]) for case in BROKEN])
def test_error_about_a_broken_file_reveals_no_value(file, text):
    file.write_text(text, encoding="utf-8")
    shown = revealed(parse_credentials, text) + revealed(load_credentials, file)
    for value in ("s3cr3t", "s3\\cr3t", "AKIDREADER", "//cdn", "admin", "blue", "wJalrXUtnFEMI", "er-secret"):
        assert value not in shown.replace("'https://cdn.example.com'", "")  # the example in a message of our own


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{HOST}\tregion: eu-west-1\n", "line 2: a tab: use spaces", id="tab"),
        pytest.param(f"{HOST}region: eu\x00west\n", "line 2: a control character", id="NUL"),
        pytest.param(f"{HOST}region: ,\n", "line 2: not YAML", id="comma"),
        pytest.param("[" * 500, "not YAML: nested too deeply", id="brackets"),
        pytest.param(
            "host: &a [*a, *a]\n", "line 1: a value that starts with '&', '*' or '!' must be quoted", id="alias bomb"
        ),
    ],
)
def test_unprintable_or_hostile_file_gets_a_message_too(text, expected):
    assert message(text) == expected


def test_both_key_pairs_and_the_region_are_read():
    credentials = parse_credentials(f"{HOST}{DOWNLOADER}{UPLOADER}region: eu-west-1\n")
    assert credentials.host == "https://cdn.example.com"
    assert credentials.downloader_access_key == "AKIDREADER"
    assert credentials.uploader_access_key == "AKIDWRITER"
    assert credentials.region == "eu-west-1"


@pytest.mark.parametrize(("pair", "absent"), [(DOWNLOADER, "uploader"), (UPLOADER, "downloader")])
def test_one_key_pair_is_enough(pair, absent):
    credentials = parse_credentials(HOST + pair)
    assert getattr(credentials, f"{absent}_access_key") is None
    assert credentials.region == "us-east-1"


def test_session_tokens_are_taken():
    tokens = "downloader_session_token: t0k3n/+=\nuploader_session_token: t0k3n\n"
    credentials = parse_credentials(HOST + DOWNLOADER + UPLOADER + tokens)
    assert "t0k3n" not in repr(credentials)  # that they sign requests is tested where requests are


@pytest.mark.parametrize("spelling", ["true", "'true'"])
def test_anonymous_needs_no_key(spelling):
    assert parse_credentials(f"{HOST}anonymous: {spelling}\n").anonymous


def test_anonymous_downloads_go_with_a_key_that_uploads():
    credentials = parse_credentials(f"{HOST}{UPLOADER}anonymous: true\n")
    assert credentials.anonymous
    assert credentials.uploader_access_key == "AKIDWRITER"


def test_quoted_value_may_start_with_any_character():
    credentials = parse_credentials(f"{HOST}downloader_access_key: '*&!@|'\ndownloader_access_secret: '123'\n")
    assert credentials.downloader_access_key == "*&!@|"


def test_message_about_a_file_starts_with_its_path(file):
    file.write_text("")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: empty: "):
        load_credentials(file)


def test_byte_order_mark_is_ignored(file):
    file.write_bytes(b"\xef\xbb\xbf" + (HOST + DOWNLOADER).encode())
    assert load_credentials(file).host == "https://cdn.example.com"


def test_file_that_is_not_utf8_is_reported_with_its_line(file):
    file.write_bytes(HOST.encode() + "region: für\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="line 2: not UTF-8"):
        load_credentials(file)


def test_file_larger_than_64_kib_is_rejected(file):
    file.write_text(HOST + DOWNLOADER + "#" * (64 << 10))
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        load_credentials(file)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_file_that_other_users_can_read_logs_a_warning(file, caplog, mode, warned):
    file.write_text(HOST + DOWNLOADER)
    file.chmod(mode)
    with caplog.at_level(logging.WARNING, logger="cdn_manager"):
        load_credentials(file)
    expected = f"{file} contains secrets, and other users of this machine can read it: chmod 600 {file}"
    assert caplog.messages == ([expected] if warned else [])
