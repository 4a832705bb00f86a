"""Tests the command line: what is accepted, what is rejected, what the help says."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import PROGRAM, command_names, run

from cdn_cli.arguments import options_first
from cdn_cli.parser import build_parser, valued_options

ROOT = Path(__file__).parents[2]
VALUED_OPTIONS = valued_options(build_parser())
HINT = "; what begins with '-' and is no option goes behind '--'"


@pytest.mark.portable
def test_help_imports_no_slow_module():
    code = "import sys, cdn_cli.parser; cdn_cli.parser.build_parser().format_help(); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-P", "-c", code], text=True).split()
    assert not {"boto3", "botocore", "cdn_manager", "rich", "yaml", "logging", "concurrent"} & set(modules)


@pytest.mark.portable
def test_documentation_shows_the_help_of_the_parser():
    subprocess.run([sys.executable, ROOT / "docs" / "make_cli.py", "--check"], check=True)


@pytest.mark.portable
def test_documentation_has_a_section_for_each_command():
    commands = command_names()
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ cdn-manager (\w+) --help$", page, re.MULTILINE)
    assert sorted(shown) == sorted(commands) != []


@pytest.mark.portable
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["uplaod", "bucket", "file"],
        ["upload", "bucket"],
        ["upload", "bucket", "file", "--jobs", "0"],
        ["upload", "bucket", "file", "--jobs", "many"],
        ["upload", "bucket", "file", "--force", "--no-overwrite"],
        ["download", "bucket"],
        ["download", "bucket", "key", "--prefix", "p"],
        ["download", "bucket", "key", "--sha256", "abc"],
        ["download", "bucket", "key", "key2", "--sha256", "0" * 64],
        ["download", "bucket", "--prefix", "p", "--sha256", "0" * 64],
        ["download", "--url", ""],
        ["presign", "models"],
        ["presign", "s3://models", "key"],
        ["upload", "s3://models", "file"],
        ["upload", "models/v2", "file"],
        ["download", "s3://models", "key"],
        ["check", "s3://models"],
        ["upload", "models", ""],
        ["download", "models", ""],
        ["download", "models", "--prefix", "p", "--into", ""],
        ["check", "models", ""],
        ["check", "--into", ""],
        ["check", "--config", ""],
        ["ls", "models", ""],
        ["rm", "models"],
        ["rm", "models", "key", "--prefix", "p"],
        ["rm", "models", ""],
        ["verify", "file"],
        ["verify", ".", "models", "--sha256", "0" * 64],
        ["verify", ".", "--prefix", "v2"],
        ["verify", ".", "--exclude", "*.log"],
        ["publish", "models", "."],
        ["publish", "models", "nothing", "v2"],
        ["publish", "models", ".", "../v2"],
        ["publish", "models", ".", "current"],
        ["install", "models", "v2"],
        ["install", "models", "a/b", "--into", "releases"],
        ["install", "models", "v2", "--into", "releases", "--sha256", "abc"],
        ["releases"],
        ["rollback"],
        ["rollback", "releases", ""],
        ["prune", "releases"],
        ["prune", "releases", "--keep", "0"],
        ["unpublish", "models", ".v2", "--yes"],
        ["unpublish", "models", "v2"],
        ["orphans", "models", "--older-than", "1"],
        ["upload", "models", "-"],
        ["upload", "models", "--key", ""],
        ["upload", "models", "file", "--exclude", ""],
        ["download", "models", "a", "b", "--output", "file"],
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


@pytest.mark.portable
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_output_that_cannot_be_written_while_parsing_is_one_line_and_no_traceback(monkeypatch, capsys, option):
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert run(option) in (0, 1)  # argparse itself hides that its help could not be written
    assert capsys.readouterr().err in ("", "cdn-manager: the output cannot be written: No space left on device\n")


# Options anywhere


@pytest.mark.portable
@pytest.mark.parametrize(
    "line",
    [
        "download models a.bin b.bin --into out --json",
        "download models --into out a.bin b.bin --json",
        "download --into out models a.bin --json b.bin",
        "--json download models a.bin --into=out b.bin",
        "--into out --json download models a.bin b.bin",
        "download models a.bin --json --into out -- b.bin",
        "--into out -- download models a.bin b.bin --json",
    ],
)
def test_options_stand_anywhere(line):
    options = build_parser().parse_args(options_first(line.split(), VALUED_OPTIONS))
    json_too = not line.endswith("b.bin --json") or "--" not in line.split()
    keys = ["a.bin", "b.bin"] if json_too else ["a.bin", "b.bin", "--json"]
    assert (options.bucket, options.keys, options.into, options.json) == ("models", keys, "out", json_too)


@pytest.mark.portable
@pytest.mark.parametrize("key", ["-m.bin", "--json", "-1", "-", "a b", "-a b", "-- x"])
@pytest.mark.parametrize("before", [["--quiet", "check", "models"], ["check", "models", "--quiet"]], ids=" ".join)
def test_what_follows_two_dashes_is_a_key(before, key):
    options = build_parser().parse_args(options_first([*before, "--", key], VALUED_OPTIONS))
    assert (options.bucket, options.key, options.json, options.quiet) == ("models", key, False, True)


@pytest.mark.portable
@pytest.mark.parametrize("key", ["-1", "-0.5", "-", "-a b"])
def test_key_that_argparse_takes_for_no_option_keeps_its_place(key):
    options = build_parser().parse_args(options_first(["check", "models", key, "--quiet"], VALUED_OPTIONS))
    assert (options.bucket, options.key) == ("models", key)


def options_of_the_help(*command):
    """Return the options on a screen of the help, each with the name of its value, which may be empty."""
    screen = subprocess.check_output([PROGRAM, *command, "--help"], text=True)
    return re.findall(r"  (--[\w-]+)(?: ([A-Z0-9]+))?(?=  |$)", screen, re.MULTILINE)


@pytest.mark.portable
def test_every_option_of_the_help_may_stand_before_what_it_is_about():
    valued = set()
    values = {"--jobs": "3", "--keep": "3", "--sha256": "0" * 64, "--older-than": "2d", "--expires": "1h"}
    shared = options_of_the_help()
    assert ("--config", "FILE") in shared
    for command, rest in (
        ("upload", ["models", "file"]), ("download", ["models", "key"]), ("verify", ["file", "models"]),
        ("ls", ["models"]), ("rm", ["models", "key"]), ("orphans", ["models"]),
        ("presign", ["models", "key"]), ("check", ["models"]),
        ("publish", ["models", "folder", "v2"]), ("install", ["models", "v2", "--into", "releases"]),
        ("releases", ["models"]), ("rollback", ["releases", "v1"]), ("prune", ["releases", "--keep", "2"]),
        ("unpublish", ["models", "v2"]),
    ):  # fmt: skip
        for option, value in [*options_of_the_help(command), *shared]:
            valued |= {option} if value else set()
            given = [option, values.get(option, "text")] if value else [option]
            line = options_first([*given, command, *rest], VALUED_OPTIONS)
            if option != "--version":
                options = build_parser().parse_args(line)
                assert getattr(options, "bucket", options.command) in ("models", "rollback", "prune")
    assert valued == VALUED_OPTIONS


@pytest.mark.portable
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["download", "models", "-odd-key"], f"unrecognized arguments: -odd-key{HINT}"),
        (["check", "models", "key", "more"], "unrecognized arguments: more"),
        (["check", "models", "caf\udce9"], "argument KEY: must be UTF-8, as every key is"),
        (["download", "models", "caf\udce9"], "argument KEY: must be UTF-8, as every key is"),
        (["download", "models", "--prefix", "caf\udce9"], "argument --prefix: must be UTF-8, as every key is"),
        (["upload", "models", "-q", "file"], f"unrecognized arguments: -q{HINT}"),
        (["check", "--prefix", "p", "models"], f"unrecognized arguments: --prefix{HINT}"),
        (["download", "models", "key", "--into"], "argument --into: expected one argument"),
        (["download", "models", "--into", "--", "key"], "argument --into: expected one argument"),
        (["download", "models", "--into", "--json", "key"], "argument --into: expected one argument"),
        (["upload", "--json"], "the following arguments are required: BUCKET, PATH"),
        (["--json"], "the following arguments are required: COMMAND"),
        (["upload", "models", "--\x1b[31m\u202e\n", "file"], rf"unrecognized arguments: --\x1b[31m\u202e\n{HINT}"),
    ],
    ids=ascii,
)
def test_usage_error_names_the_argument_and_quotes_nothing_unescaped(capsys, arguments, error):
    assert run(*arguments) == 2
    assert capsys.readouterr().err.endswith(f"error: {error}\n")


@pytest.mark.portable
@pytest.mark.parametrize("arguments", [["--version"], ["--version", "check"], ["check", "models", "--version"]])
def test_version_may_stand_anywhere(capsys, arguments):
    assert run(*arguments) == 0
    assert capsys.readouterr().out.startswith("cdn-manager ")


@pytest.mark.portable
@pytest.mark.parametrize("command", [(), *((name,) for name in command_names())], ids=" ".join)
def test_help_of_every_command_fits_a_screen(capsys, command):
    assert run(*command, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
