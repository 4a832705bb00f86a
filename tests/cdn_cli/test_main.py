"""Tests the command as a whole: help, configuration, exit status, output."""

import contextlib
import gc
import importlib.metadata
import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import PROGRAM, run, write_config
from local_store import READER
from scripted_server import ScriptedServer, answering

from cdn_cli.console import complain
from cdn_config import Configuration, Settings
from cdn_manager import CDNCredentials

# Help


@pytest.mark.portable
def test_version_is_that_of_the_installed_distribution(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"cdn-manager {importlib.metadata.version('cdn-manager')}\n"


@pytest.mark.portable
@pytest.mark.parametrize(("typed", "expected"), [("up", "upload"), ("download b --pre", "--prefix")])
def test_shell_completes_commands_and_options(tmp_path, typed, expected):
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    line = f"cdn-manager {typed}"
    completion = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
                  "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}  # fmt: skip
    subprocess.run([PROGRAM], env={**os.environ, **completion})
    assert answer.read_text().strip() == expected


def test_garbage_is_not_looked_for_while_a_command_starts_nor_among_what_it_has_imported_later(monkeypatch):
    write_config("http://127.0.0.1:1")
    collecting = []

    def credentials(*_):
        collecting.append(gc.isenabled())
        return Configuration(CDNCredentials("http://127.0.0.1:1", *READER), Settings(), None)

    def sizes_below(*_):
        collecting.append(gc.isenabled() and gc.get_freeze_count() > 10_000)
        return {}

    monkeypatch.setattr("cdn_cli.configuration.load_configuration", credentials)
    monkeypatch.setattr("cdn_cli.download._sizes_below", sizes_below)
    assert run("download", "models", "--prefix", "") == 1
    assert collecting == [False, True]


@pytest.mark.parametrize("arguments", [["--help"], ["check"]], ids=["help", "check"])
def test_garbage_is_looked_for_after_every_command(arguments):
    run(*arguments)
    assert gc.isenabled()


# Configuration


@pytest.mark.portable
def test_configuration_comes_from_the_option_then_the_variable_then_the_working_directory(monkeypatch, capsys):
    for name, field in (("option.yaml", "one"), ("variable.yaml", "two"), ("cdn.yaml", "three")):
        Path(name).write_text(f"{field}: x")
    monkeypatch.setenv("CDN_CONFIG", "variable.yaml")
    assert run("check", "--config", "option.yaml") == run("--config", "option.yaml", "check") == 2
    assert run("check") == 2
    monkeypatch.delenv("CDN_CONFIG")
    assert run("check") == 2
    names = re.findall(r"^cdn-manager: (\S+): line 1: unknown", capsys.readouterr().err, re.MULTILINE)
    assert names == ["option.yaml", "option.yaml", "variable.yaml", "cdn.yaml"]


@pytest.mark.portable
def test_missing_configuration_exits_with_status_2_and_one_line(capsys):
    assert run("download", "bucket", "key") == 2
    assert capsys.readouterr().err == (
        "cdn-manager: no file 'cdn.yaml': create it with the lines 'host: URL', 'downloader_access_key: KEY' and "
        "'downloader_access_secret: SECRET' (to upload, 'uploader_...'), name the credentials file with --config "
        "FILE or CDN_CONFIG, or set the variables CDN_HOST, CDN_DOWNLOADER_ACCESS_KEY and so on\n"
    )


@pytest.mark.portable
@pytest.mark.parametrize(
    ("pairs", "command", "sentence"),
    [
        ({"writer": None}, ["upload", "bucket", "file"], "no uploader_access_key: this machine cannot upload"),
        ({"reader": None}, ["download", "bucket", "key"], "no downloader_access_key: this machine cannot download"),
    ],
    ids=["upload", "download"],
)
def test_command_without_its_key_pair_fails_and_names_the_missing_field(moto_url, capsys, pairs, command, sentence):
    write_config(moto_url, **pairs)
    Path("file").touch()
    assert run(*command) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_configuration_readable_by_others_gets_a_warning(config, capsys):
    Path("cdn.yaml").chmod(0o644)
    assert run("check") == 0
    assert "chmod 600 cdn.yaml" in capsys.readouterr().err


def test_rejected_secret_is_never_written(store, bucket, capsys):
    write_config(store.url, reader=(READER[0], "mistyped-secret"))
    assert run("download", bucket, "key", "--verbose") == 1
    written = capsys.readouterr()
    assert "SignatureDoesNotMatch" in written.err
    assert "mistyped-secret" not in written.out + written.err


# Output


@pytest.mark.portable
def test_traceback_is_shown_only_with_verbose(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "nothing") == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run("download", moto_bucket, "nothing", "--verbose") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.portable
def test_key_cannot_send_escape_sequences_to_the_terminal(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "\x1b[31mred", "--verbose") == 1
    written = capsys.readouterr()
    assert "\x1b" not in written.out + written.err.rpartition("cdn-manager:")[2]
    assert "\\x1b[31mred" in written.err


@pytest.fixture
def hostile():
    """A store whose refusals carry control characters, named in cdn.yaml."""
    text = "busy \x9b31m\x9d0;owned\x9c \u202eevil\x7f"
    message = f"<Message>{text}&#13;&#10;cdn-manager: forged</Message>"
    body = f"<Error><Code>Access\x9bDenied</Code>{message}</Error>".encode()
    with ScriptedServer() as server:
        server.fault("GET", answering(503, body=body, headers=[("Retry-After", "1")]), answering(403, body=body))
        write_config(server.url)
        yield


def unprintable(text):
    return [character for character in text if character != "\n" and not character.isprintable()]


@pytest.mark.portable
@pytest.mark.parametrize("way", [[], ["--verbose"], ["--json"]], ids=["plain", "verbose", "json"])
@pytest.mark.parametrize("what", [["k.bin"], ["--prefix", "k\x9b"]], ids=["key", "listing"])
def test_text_of_the_store_cannot_control_the_terminal_or_forge_a_line(hostile, capsys, way, what):
    assert run("download", "models", *what, *way) == 1
    written = capsys.readouterr()
    assert not unprintable(written.out + written.err)
    lines = written.err.splitlines()
    assert "next attempt in 1 s" in lines[0]  # the log
    assert not [line for line in lines if line.lstrip().startswith("cdn-manager: forged")]
    if "--verbose" in way:
        assert "Traceback (most recent call last):" in lines
        assert [line for line in lines if line.startswith('  File "')]


@pytest.mark.portable
def test_line_of_the_log_cannot_control_the_terminal_or_forge_a_line(config, capsys):
    assert run("check", "--quiet") == 0
    logging.getLogger("cdn_manager").error("lost %s", "\x1b[2J\ncdn-manager: forged")
    assert capsys.readouterr().err == "cdn-manager: lost \\x1b[2J\\ncdn-manager: forged\n"


@pytest.mark.portable
def test_traceback_shows_a_message_of_several_lines_as_one(capsys):
    try:
        raise ValueError("one\ntwo\x1b[2J") from OSError("three\n  File")
    except ValueError as error:
        complain(error, traceback=True)
    lines = capsys.readouterr().err.splitlines()
    assert r"ValueError: one\ntwo\x1b[2J" in lines
    assert r"OSError: three\n  File" in lines
    assert "The above exception was the direct cause of the following exception:" in lines


@pytest.mark.portable
def test_key_that_the_output_encoding_lacks_is_escaped(config, moto_bucket, stored):
    stored(**{"grün.bin": b"x"})
    output = subprocess.check_output(
        [PROGRAM, "download", moto_bucket, "grün.bin", "--verbose"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
    )
    assert rb"gr\xfcn.bin: 1 byte in " in output


@pytest.mark.portable
def test_output_can_be_redirected_within_python(config):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert run("check") == 0
    assert "host resolves" in text.getvalue()


# Output that fails


def run_into(output, *arguments):
    """Run the command with a file or descriptor as its output; return its exit status and what it wrote to stderr."""
    # Most users have no PYTHONUNBUFFERED; many containers do.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run([PROGRAM, *arguments], stdout=output, stderr=subprocess.PIPE, env=environment, text=True)
    return ran.returncode, ran.stderr


@pytest.fixture
def closed_pipe():
    """The writing end of a pipe whose reader has closed."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


broken_pipe = pytest.mark.skipif(os.name != "posix", reason="a broken pipe is another error on Windows")
full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full exists on Linux only")


@pytest.mark.portable
@broken_pipe
def test_download_stops_when_the_reader_of_its_output_closes(config, moto_bucket, stored, closed_pipe):
    stored(**{f"p/{number}": b"x" for number in range(150)})
    assert run_into(closed_pipe, "download", moto_bucket, "--prefix", "p", "--json") == (1, "")
    assert len(list(Path(moto_bucket, "p").glob("[0-9]*"))) < 150


@pytest.mark.portable
@broken_pipe
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["download", "--help"], ["check"]], ids=" ".join)
def test_short_output_to_a_closed_reader_fails_without_a_message(config, closed_pipe, arguments):
    assert run_into(closed_pipe, *arguments) == (1, "")


@pytest.mark.portable
@full_device
@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["text", "json"])
def test_output_to_a_full_device_fails_with_one_line(config, moto_bucket, stored, json_too):
    stored(**{"a.bin": b"a"})
    with open("/dev/full", "w") as full:
        status, errors = run_into(full, "download", moto_bucket, "a.bin", *json_too)
    assert status == 1
    assert errors == "cdn-manager: the output cannot be written: No space left on device\n"


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("command", ["download {} a.bin", "check"])
def test_command_succeeds_with_closed_descriptors(config, moto_bucket, stored, closed, command):
    stored(**{"a.bin": b"a"})
    line = f'exec "$0" {command.format(moto_bucket)} {closed}'
    ran = subprocess.run(["sh", "-c", line, PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0
    assert not ran.stderr
    assert bool(ran.stdout) == (closed == "2>&-")


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
def test_errors_do_not_go_to_stdout_when_stderr_is_closed():
    ran = subprocess.run(["sh", "-c", 'exec "$0" check 2>&-', PROGRAM], capture_output=True)
    assert (ran.returncode, ran.stdout) == (2, b"")


# A broken installation


@pytest.mark.portable
def test_stray_constants_module_is_named_instead_of_a_traceback(config):
    Path("constants.py").write_text("PI = 3\n")
    ran = subprocess.run([sys.executable, "-m", "cdn_cli", "check"], capture_output=True, text=True)
    assert ran.returncode == 1
    assert not ran.stdout
    assert "Traceback" not in ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("cdn-manager: ")
    assert str(Path("constants.py").resolve()) in line
