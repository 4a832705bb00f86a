"""Tests the command line: what is accepted, what is rejected, what the help says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import run

from cdn_cli.parser import build_parser

ROOT = Path(__file__).parents[2]


@pytest.mark.portable
def test_examples_in_the_help_parse():
    examples = re.findall(r"^  cdn-manager (.+)$", build_parser().format_help(), re.MULTILINE)
    assert examples
    for example in examples:
        build_parser().parse_args(example.split())


@pytest.mark.portable
def test_help_imports_no_slow_module():
    code = "import sys, cdn_cli.parser; cdn_cli.parser.build_parser().format_help(); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-P", "-c", code], text=True).split()
    assert not {"boto3", "botocore", "cdn_manager", "rich", "yaml", "logging", "concurrent"} & set(modules)


@pytest.mark.portable
def test_documentation_shows_the_help_of_the_parser():
    subprocess.run([sys.executable, ROOT / "docs" / "make_cli.py", "--check"], check=True)


@pytest.mark.portable
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["uplaod", "bucket", "file"],
        ["upload", "bucket"],
        ["upload", "bucket", "file", "--jobs", "0"],
        ["upload", "bucket", "file", "--jobs", "many"],
        ["download", "bucket"],
        ["download", "bucket", "key", "--prefix", "p"],
        ["download", "bucket", "key", "--sha256", "abc"],
        ["download", "bucket", "key", "key2", "--sha256", "0" * 64],
        ["download", "bucket", "--prefix", "p", "--sha256", "0" * 64],
        ["upload", "s3://models", "file"],
        ["upload", "models/v2", "file"],
        ["download", "s3://models", "key"],
        ["check", "s3://models"],
    ],
    ids=" ".join,
)
def test_wrong_command_line_exits_with_status_2(config, capsys, arguments):
    assert run(*arguments) == 2
    written = capsys.readouterr()
    assert written.err
    assert not written.out


@pytest.mark.portable
def test_bucket_given_as_a_url_is_rejected_in_one_line_that_asks_for_the_name_only(config, capsys):
    assert run("upload", "s3://models", "a", "b") == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("cdn-manager upload: error: argument BUCKET: ")
    assert line.endswith("the name only, without s3://")
