"""Tests the command: what it does, what it says, and how it ends."""

import _thread
import contextlib
import filecmp
import io
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from local_store import READER, WRITER, admin_client, model_file

import cdn_cli
import cdn_progress
from cdn_batch import Batch, Transfer
from cdn_progress import Display

ROOT = Path(__file__).parent.parent
PROGRAM = shutil.which("cdn-manager", path=sysconfig.get_path("scripts"))


@pytest.fixture(autouse=True)
def surroundings(folder, monkeypatch):
    """An empty working directory, no configuration named elsewhere, and the log as it was afterwards."""
    monkeypatch.delenv("CDN_CONFIG", raising=False)
    logger = logging.getLogger("cdn_manager")
    handlers, level = logger.handlers, logger.level
    yield
    logger.handlers = handlers
    logger.setLevel(level)


def write_config(path, url, reader=READER, writer=WRITER):
    lines = [f"host: {url}"]
    for role, pair in (("downloader", reader), ("uploader", writer)):
        if pair:
            lines += [f"{role}_access_key: {pair[0]}", f"{role}_access_secret: {pair[1]}"]
    Path(path).touch(mode=0o600)
    Path(path).write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def config(moto_url):
    """A cdn.yaml of the in-process store in the working directory."""
    write_config("cdn.yaml", moto_url)


@pytest.fixture
def stored(moto_url, moto_bucket):
    """A function that tells the keys in the bucket of the in-process store, and one that puts more there."""
    client = admin_client(moto_url)

    def keys(**added):
        for key, body in added.items():
            client.put_object(Bucket=moto_bucket, Key=key, Body=body)
        return [entry["Key"] for entry in client.list_objects_v2(Bucket=moto_bucket).get("Contents", ())]

    yield keys
    client.close()


def run(*arguments):
    """Run the command in this process; return its exit status."""
    try:
        return cdn_cli.main(list(arguments))
    except SystemExit as ended:  # argparse ends so
        return ended.code


def write_files(folder, **contents):
    for name, content in contents.items():
        path = Path(folder, name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def assert_same_trees(left, right):
    compared = filecmp.dircmp(left, right, hide=[], ignore=[])
    assert not compared.left_only + compared.right_only + compared.funny_files
    assert filecmp.cmpfiles(left, right, compared.common_files, shallow=False)[1:] == ([], [])
    for name in compared.common_dirs:
        assert_same_trees(Path(left, name), Path(right, name))


# Its help


@pytest.mark.portable
def test_help_fits_a_screen_and_shows_three_examples():
    lines = subprocess.check_output([PROGRAM, "--help"], text=True).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("  cdn-manager ")]) == 3


@pytest.mark.portable
def test_examples_of_the_help_are_understood():
    examples = re.findall(r"^  cdn-manager (.+)$", cdn_cli.build_parser().format_help(), re.MULTILINE)
    for example in examples:
        cdn_cli.build_parser().parse_args(example.split())


@pytest.mark.portable
def test_help_imports_nothing_that_takes_long():
    code = "import sys, cdn_cli; cdn_cli.build_parser().format_help(); print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-P", "-c", code], text=True).split()
    assert not {"boto3", "botocore", "cdn_manager", "rich", "yaml", "logging", "concurrent"} & set(modules)


@pytest.mark.portable
def test_documentation_is_what_the_parser_says():
    subprocess.run([sys.executable, ROOT / "docs" / "make_cli.py", "--check"], check=True)


@pytest.mark.portable
def test_version_is_told(capsys):
    assert run("--version") == 0
    assert re.fullmatch(r"cdn-manager \d+\.\d+\.\d+\n", capsys.readouterr().out)


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


# Its configuration


@pytest.mark.portable
def test_configuration_is_the_option_then_the_variable_then_the_working_directory(monkeypatch, capsys):
    for name, kind in (("option.yaml", "one"), ("variable.yaml", "two"), ("cdn.yaml", "three")):
        Path(name).write_text(f"{kind}: x")
    monkeypatch.setenv("CDN_CONFIG", "variable.yaml")
    assert run("check", "--config", "option.yaml") == run("--config", "option.yaml", "check") == 2
    assert run("check") == 2
    monkeypatch.delenv("CDN_CONFIG")
    assert run("check") == 2
    names = re.findall(r"^cdn-manager: (\S+): line 1: unknown", capsys.readouterr().err, re.MULTILINE)
    assert names == ["option.yaml", "option.yaml", "variable.yaml", "cdn.yaml"]


@pytest.mark.portable
def test_missing_configuration_ends_with_status_2_and_one_line(capsys):
    assert run("download", "bucket", "key") == 2
    assert capsys.readouterr().err == (
        "cdn-manager: no file 'cdn.yaml': name the credentials with --config FILE or CDN_CONFIG\n"
    )


@pytest.mark.portable
@pytest.mark.parametrize(
    ("pairs", "command", "sentence"),
    [
        ({"writer": None}, ["upload", "bucket", "file"], "no uploader_access_key: this machine cannot upload"),
        ({"reader": None}, ["download", "bucket", "key"], "no downloader_access_key: this machine cannot download"),
    ],
)
def test_direction_without_its_key_pair_fails_with_a_sentence(moto_url, capsys, pairs, command, sentence):
    write_config("cdn.yaml", moto_url, **pairs)
    Path("file").touch()
    assert run(*command) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_configuration_that_others_can_read_is_warned_about(config, capsys):
    Path("cdn.yaml").chmod(0o644)
    assert run("check") == 0
    assert "chmod 600 cdn.yaml" in capsys.readouterr().err


# Its command line


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
def test_wrong_command_line_ends_with_status_2(config, capsys, arguments):
    assert run(*arguments) == 2
    written = capsys.readouterr()
    assert written.err
    assert not written.out


@pytest.mark.portable
def test_bucket_with_a_scheme_gets_one_line_that_says_the_name_only(config, capsys):
    assert run("upload", "s3://models", "a", "b") == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("cdn-manager upload: error: argument BUCKET: ")
    assert line.endswith("the name only, without s3://")


@pytest.mark.portable
def test_folder_in_a_keys_place_is_told_to_be_a_prefix(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "v2/") == 2
    assert "--prefix v2/ gets all below it" in capsys.readouterr().err


# Upload


@pytest.mark.portable
@pytest.mark.parametrize("path", [".", "cdn.yaml", "release"])
def test_credentials_are_not_published(config, moto_bucket, stored, capsys, path):
    write_files("release", **{"a.bin": b"a"})
    os.link("cdn.yaml", "release/other-name.txt")
    assert run("upload", moto_bucket, path) == 2
    assert stored() == []
    assert "this would publish the credentials" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="names that Windows cannot have")
@pytest.mark.parametrize("name", ["a:b", "con.bin", "a\nb", os.fsdecode(b"a\xff")], ids=ascii)
def test_file_that_no_machine_could_download_is_named_before_anything_is_sent(
    config, moto_bucket, stored, capsys, name
):
    write_files("release", **{"a.bin": b"a", name: b"b"})
    assert run("upload", moto_bucket, "release") == 2
    assert stored() == []
    written = capsys.readouterr().err
    assert cdn_progress.printable(repr(f"release/{name}")) in written
    assert "rename the file" in written


@pytest.mark.portable
@pytest.mark.parametrize("arguments", [["a.bin", "--prefix", "../up"], ["", "--prefix", "models"]], ids=str)
def test_key_that_leads_elsewhere_is_refused_before_anything_is_sent(config, moto_bucket, stored, capsys, arguments):
    write_files(".", **{"a.bin": b"a"})
    assert run("upload", moto_bucket, *arguments) == 2
    assert stored() == []
    assert "change --prefix: key '" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_links_of_this_machine_do_not_matter_to_keys(config, moto_bucket, stored, tmp_path):
    write_files(tmp_path / "data", **{"a.bin": b"a"})
    for link in (Path(moto_bucket), Path("v2")):
        link.symlink_to(tmp_path / "data")
    assert run("upload", moto_bucket, "v2", "--prefix", "v2") == 0
    assert stored() == ["v2/a.bin"]


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_link_to_a_directory_is_left_out_and_named(config, moto_bucket, stored, tmp_path, capsys):
    write_files("release", **{"a.bin": b"a"})
    Path("release/link").symlink_to(tmp_path)
    assert run("upload", moto_bucket, "release") == 0
    assert stored() == ["a.bin"]
    assert capsys.readouterr().err == "cdn-manager: 'release/link' is a link to a directory, and left out\n"
    assert run("upload", moto_bucket, "release", "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.portable
def test_keys_are_names_of_files_and_paths_below_directories(config, moto_bucket, stored, capsys):
    write_files("release", **{"a.bin": b"a", "deep__er__b.bin": b"b"})
    write_files("other", **{"c.bin": b"c"})
    assert run("upload", moto_bucket, "release", "other/c.bin") == 0
    assert stored() == ["a.bin", "c.bin", "deep/er/b.bin"]
    assert capsys.readouterr().out.startswith("uploaded 3 files, 3 bytes in ")


@pytest.mark.portable
@pytest.mark.parametrize("prefix", ["v2", "v2/", "/v2/"])
def test_prefix_is_put_before_each_key(config, moto_bucket, stored, prefix):
    write_files("release", **{"a.bin": b"a"})
    assert run("upload", moto_bucket, "release", "--prefix", prefix) == 0
    assert stored() == ["v2/a.bin"]


@pytest.mark.portable
def test_two_files_of_one_key_are_refused_before_anything_is_sent(config, moto_bucket, stored, capsys):
    write_files(".", **{"x__a.bin": b"1", "y__a.bin": b"2"})
    assert run("upload", moto_bucket, "x", "y") == 2
    assert stored() == []
    assert "would both become the object 'a.bin'" in capsys.readouterr().err


@pytest.mark.portable
def test_unfinished_downloads_are_not_uploaded(config, moto_bucket, stored):
    write_files("release", **{"a.bin": b"a", ".cdn-0123.part": b"x"})
    assert run("upload", moto_bucket, "release") == 0
    assert stored() == ["a.bin"]


@pytest.mark.portable
def test_directory_without_files_is_nothing_to_upload(config, moto_bucket, capsys):
    Path("empty").mkdir()
    assert run("upload", moto_bucket, "empty") == 2
    assert "nothing to upload" in capsys.readouterr().err


@pytest.mark.portable
def test_no_overwrite_refuses_what_is_there_and_stores_the_rest(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"old"})
    write_files("release", **{"a.bin": b"new", "b.bin": b"b"})
    assert run("upload", moto_bucket, "release", "--no-overwrite") == 1
    assert stored() == ["a.bin", "b.bin"]
    written = capsys.readouterr()
    assert written.out.startswith("uploaded 1 of 2 files")
    assert "a.bin is already there, and was not replaced" in written.err


@pytest.mark.portable
def test_missing_file_fails_and_the_others_are_stored(config, moto_bucket, stored, capsys):
    write_files(".", **{"a.bin": b"a"})
    assert run("upload", moto_bucket, "missing/", "a.bin") == 1
    assert stored() == ["a.bin"]
    assert f"cdn-manager: {moto_bucket}/missing: No such file or directory: 'missing/'" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_pipe_in_a_directory_is_not_waited_for(config, moto_bucket, stored, capsys):
    write_files("release", **{"a.bin": b"a"})
    os.mkfifo("release/pipe")
    assert run("upload", moto_bucket, "release") == 1
    assert stored() == ["a.bin"]
    assert "pipe' is neither a file nor a directory" in capsys.readouterr().err


# Download


@pytest.mark.portable
def test_objects_come_to_the_folder_of_the_bucket(config, moto_bucket, stored):
    stored(**{"a.bin": b"a", "deep/b.bin": b"b"})
    assert run("download", moto_bucket, "deep/b.bin", "a.bin") == 0
    assert Path(moto_bucket, "deep", "b.bin").read_bytes() == b"b"


@pytest.mark.portable
def test_all_objects_below_a_prefix_come_to_the_directory_given(config, moto_bucket, stored, tmp_path):
    stored(**{"v2/a.bin": b"a", "v2/deep/b.bin": b"b", "v2/": b"", "v2": b"no", "v20/c.bin": b"no"})
    assert run("download", moto_bucket, "--prefix", "v2", "--into", str(tmp_path / "new" / "place")) == 0
    found = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "new").rglob("*.bin"))
    assert found == ["new/place/v2/a.bin", "new/place/v2/deep/b.bin"]


@pytest.mark.portable
def test_prefix_with_nothing_below_it_has_failed(config, moto_bucket, stored, capsys):
    assert run("download", moto_bucket, "--prefix", "v3") == 1
    assert "no object below 'v3/'" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.parametrize("into", [[], ["--into", "place"]], ids=["bucket", "into"])
def test_key_that_leads_elsewhere_is_refused_and_the_others_come(config, moto_bucket, stored, capsys, into):
    stored(**{"p/../../escaped": b"x", "p/a.bin": b"a"})
    assert run("download", moto_bucket, "--prefix", "p", *into) == 1
    assert (Path(into[-1] if into else moto_bucket) / "p" / "a.bin").read_bytes() == b"a"
    assert not list(Path("..").rglob("escaped"))
    assert "'p/../../escaped' cannot be a path" in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_link_that_leads_out_of_the_directory_given_is_refused(config, moto_bucket, stored, tmp_path, capsys):
    stored(**{"link/a.bin": b"a"})
    Path("place").mkdir()
    Path("place/link").symlink_to(tmp_path)
    assert run("download", moto_bucket, "link/a.bin", "--into", "place") == 1
    assert not (tmp_path / "a.bin").exists()
    assert "a link on its way points to" in capsys.readouterr().err


@pytest.mark.portable
def test_wrong_digest_installs_nothing(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"a"})
    assert run("download", moto_bucket, "a.bin", "--sha256", "0" * 64) == 1
    assert not Path(moto_bucket, "a.bin").exists()
    assert "SHA-256" in capsys.readouterr().err


@pytest.mark.portable
def test_one_failure_does_not_stop_the_others_and_ends_the_summary(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"a", "b.bin": b"b"})
    assert run("download", moto_bucket, "a.bin", "nothing", "b.bin", "--jobs", "1") == 1
    written = capsys.readouterr()
    assert written.out.startswith("downloaded 2 of 3 files, 2 bytes in ")
    assert re.fullmatch(rf"cdn-manager: {moto_bucket}/nothing: the store answered 404 .+\n", written.err)


@pytest.mark.portable
def test_second_download_transfers_nothing_and_says_so(config, moto_bucket, capsys):
    write_files(".", **{"a.bin": b"a"})
    run("upload", moto_bucket, "a.bin")
    run("download", moto_bucket, "a.bin")
    capsys.readouterr()
    assert run("download", moto_bucket, "a.bin") == 0
    assert "(nothing had to be transferred)" in capsys.readouterr().out


@pytest.mark.portable
def test_largest_objects_come_first(config, moto_bucket, stored, capsys):
    stored(**{"p/small": b"1", "p/large": b"1" * 3000, "p/middle": b"1" * 2000})
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1", "--verbose") == 0
    order = re.findall(r"^p/(\w+): ", capsys.readouterr().out, re.MULTILINE)
    assert order == ["large", "middle", "small"]


# What it writes


@pytest.mark.portable
def test_json_is_one_object_a_line(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"abc"})
    assert run("download", moto_bucket, "a.bin", "nothing", "--json") == 1
    done, failed, summary = sorted(map(json.loads, capsys.readouterr().out.splitlines()), key=lambda e: e["event"])
    assert (done["event"], done["key"], done["size"]) == ("done", "a.bin", 3)
    assert (failed["event"], failed["key"], failed["error"]) == ("failed", "nothing", "NoSuchKey")
    assert (summary["event"], summary["done"], summary["failed"]) == ("summary", 1, 1)


@pytest.mark.portable
def test_json_of_the_check_is_one_object_a_finding(config, capsys):
    assert run("check", "--json") == 0
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(set(finding) == {"event", "name", "state", "text", "advice"} for finding in findings)


@pytest.mark.portable
def test_check_with_a_red_finding_has_failed_and_says_what_to_do(config, capsys):
    assert run("check", "no-such-bucket") == 1
    assert re.search(r"^failed  bucket +there is no 'no-such-bucket' -> create it", capsys.readouterr().out, re.M)


@pytest.mark.portable
def test_quiet_check_writes_only_what_is_red(config, capsys):
    assert run("check", "no-such-bucket", "--quiet") == 1
    written = capsys.readouterr()
    assert not written.out
    assert len(written.err.splitlines()) == 1


@pytest.mark.portable
def test_quiet_success_writes_nothing(config, moto_bucket, capsys, monkeypatch):
    monkeypatch.setattr("cdn_progress._INTERVAL", 0.0)
    write_files(".", **{"a.bin": b"a"})
    assert run("upload", moto_bucket, "a.bin", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.portable
def test_traceback_is_shown_only_with_verbose(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "nothing") == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run("download", moto_bucket, "nothing", "--verbose") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.portable
def test_without_a_terminal_progress_is_a_plain_line_now_and_then(config, moto_bucket, stored, capsys, monkeypatch):
    monkeypatch.setattr("cdn_progress._INTERVAL", 0.0)
    stored(**{"p/a": b"1" * 1000, "p/b": b"1" * 500})
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1") == 0
    assert re.search(r"^1 of 2 files, 1\.0 kB of 1\.5 kB, .+/s, \d:\d\d left$", capsys.readouterr().err, re.MULTILINE)


MODEL, OTHER = Transfer("model", "model", None), Transfer("other", "other", None)


def bars(*transfers):
    """The display of a terminal, with a bar for each transfer, and the one for all."""
    from rich.console import Console

    made = cdn_progress._Bars(transfers, False, Console(file=io.StringIO(), force_terminal=True))
    for transfer in transfers:
        made.begin(transfer)
    return made, made.progress.tasks[0]


@pytest.mark.portable
def test_bar_for_all_tells_the_size_once_each_is_known():
    display, in_all = bars(MODEL, OTHER)
    display.expect(MODEL, 1000)
    assert in_all.total is None
    display.expect(OTHER, 500)
    assert in_all.total == 1500


@pytest.mark.portable
def test_bar_for_all_does_without_the_size_of_what_failed():
    display, in_all = bars(MODEL, OTHER)
    display.expect(MODEL, 1000)
    display.expect(OTHER, None)
    display.fail(OTHER, OSError())
    assert in_all.total == 1000


@pytest.mark.portable
def test_resumed_bytes_are_no_speed_of_the_bar_for_all():
    display, in_all = bars(MODEL, OTHER)
    clock = [0.0]
    display.progress.get_time = lambda: clock[0]
    display.advance(OTHER, 1000)
    clock[0] = 1.0
    display.resume(MODEL, 900_000)
    for clock[0] in (2.0, 3.0, 4.0):
        display.advance(MODEL, 1000)
    assert in_all.completed == 904_000
    assert in_all.speed == 1000


@pytest.mark.portable
def test_resumed_bytes_are_no_speed_of_the_plain_line(capsys, monkeypatch):
    display = cdn_progress._Lines([MODEL], False)
    display.expect(MODEL, 1_000_000)
    display.resume(MODEL, 900_000)
    display.advance(MODEL, 10_000)
    monkeypatch.setattr(cdn_progress.time, "monotonic", lambda: display.began + 10)
    display.tick()
    assert capsys.readouterr().err == "0 of 1 files, 910.0 kB of 1.0 MB, 1.0 kB/s, 1:30 left\n"


@pytest.mark.portable
def test_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    options = SimpleNamespace(json=False, quiet=False, verbose=False)
    monkeypatch.setenv("TERM", "dumb")
    assert type(cdn_progress.choose(options, "bucket", [MODEL])) is cdn_progress._Lines
    monkeypatch.setenv("TERM", "xterm")
    assert type(cdn_progress.choose(options, "bucket", [MODEL])) is cdn_progress._Bars


@pytest.mark.portable
def test_key_cannot_command_the_terminal(config, moto_bucket, capsys):
    assert run("download", moto_bucket, "\x1b[31mred", "--verbose") == 1
    written = capsys.readouterr()
    assert "\x1b" not in written.out + written.err.rpartition("cdn-manager:")[2]
    assert "\\x1b[31mred" in written.err


@pytest.mark.portable
def test_key_outside_of_the_terminals_encoding_is_written_all_the_same(config, moto_bucket, stored):
    stored(**{"grün.bin": b"x"})
    output = subprocess.check_output(
        [PROGRAM, "download", moto_bucket, "grün.bin", "--verbose"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
    )
    assert rb"gr\xfcn.bin: 1 byte in " in output


def run_into(output, *arguments):
    """Run the command with a file or descriptor as its output; return its exit status and what it wrote to stderr."""
    # As most people's, and not as in many a container.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run([PROGRAM, *arguments], stdout=output, stderr=subprocess.PIPE, env=surroundings, text=True)
    return ran.returncode, ran.stderr


@pytest.fixture
def closed_pipe():
    """The writing end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


broken_pipe = pytest.mark.skipif(os.name != "posix", reason="a broken pipe is another error on Windows")
full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full of Linux")


@pytest.mark.portable
@broken_pipe
def test_download_ends_when_the_reader_of_its_output_has_gone(config, moto_bucket, stored, closed_pipe):
    stored(**{f"p/{number}": b"x" for number in range(150)})
    assert run_into(closed_pipe, "download", moto_bucket, "--prefix", "p", "--json") == (1, "")
    assert len(list(Path(moto_bucket, "p").glob("[0-9]*"))) < 75


@pytest.mark.portable
@broken_pipe
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["download", "--help"], ["check"]], ids=" ".join)
def test_reader_of_a_short_output_may_have_gone(config, closed_pipe, arguments):
    assert run_into(closed_pipe, *arguments) == (1, "")


@pytest.mark.portable
@full_device
@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["text", "json"])
def test_output_that_is_full_is_told_in_one_line(config, moto_bucket, stored, json_too):
    stored(**{"a.bin": b"a"})
    with open("/dev/full", "w") as full:
        status, errors = run_into(full, "download", moto_bucket, "a.bin", *json_too)
    assert status == 1
    assert errors == "cdn-manager: the output cannot be written: No space left on device\n"


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("command", ["download {} a.bin", "check"])
def test_closed_descriptors_do_no_harm(config, moto_bucket, stored, closed, command):
    stored(**{"a.bin": b"a"})
    line = f'exec "$0" {command.format(moto_bucket)} {closed}'
    ran = subprocess.run(["sh", "-c", line, PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0
    assert not ran.stderr
    assert bool(ran.stdout) == (closed == "2>&-")


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
def test_errors_do_not_go_to_the_output_when_stderr_is_closed():
    ran = subprocess.run(["sh", "-c", 'exec "$0" check 2>&-', PROGRAM], capture_output=True)
    assert (ran.returncode, ran.stdout) == (2, b"")


@pytest.mark.portable
def test_output_of_a_call_can_be_redirected(config):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert run("check") == 0
    assert "host resolves" in text.getvalue()


@pytest.mark.portable
def test_missing_extra_is_named_with_status_2():
    code = "import sys; sys.modules['yaml'] = None; import cdn_cli; sys.exit(cdn_cli.main(['check']))"
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert ran.returncode == 2
    assert re.fullmatch(r"cdn-manager: .*yaml.*: install cdn-manager with its extra 'cli'\n", ran.stderr)


def test_refused_secret_appears_nowhere(store, bucket, capsys):
    write_config("cdn.yaml", store.url, reader=(READER[0], "mistyped-secret"))
    assert run("download", bucket, "key", "--verbose") == 1
    written = capsys.readouterr()
    assert "SignatureDoesNotMatch" in written.err
    assert "mistyped-secret" not in written.out + written.err


# Many at once


def silent_batch(move, count, jobs):
    return Batch(move, [Transfer(str(number), "path", None) for number in range(count)], jobs, Display())


@pytest.mark.portable
def test_as_many_transfers_run_at_once_as_there_are_jobs():
    all_three = threading.Barrier(3, timeout=20)
    running = 0
    most = 0
    lock = threading.Lock()

    def move(transfer, progress):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_three.wait()
        time.sleep(0.001)  # a fourth would come in here
        with lock:
            running -= 1

    batch = silent_batch(move, 30, jobs=3)
    batch.run()
    assert len(batch.done) == 30
    assert most == 3


@pytest.mark.portable
def test_failure_of_one_transfer_leaves_the_others_alone():
    def move(transfer, progress):
        if transfer.key == "3":
            raise OSError("disk full")

    batch = silent_batch(move, 10, jobs=2)
    batch.run()
    assert len(batch.done) == 9
    assert [transfer.key for transfer in batch.failed] == ["3"]


@pytest.mark.portable
@pytest.mark.parametrize(
    "error", [EndpointConnectionError(endpoint_url="x"), HTTPClientError(error="no CA bundle")], ids=["address", "CA"]
)
def test_store_that_cannot_be_reached_is_not_tried_for_every_file(error):
    def move(transfer, progress):
        time.sleep(0.005)  # less than any attempt takes
        raise error

    batch = silent_batch(move, 1000, jobs=2)
    batch.run()
    assert len(batch.failed) == len(batch.begun) < 500
    assert batch.running == 0


@pytest.mark.portable
@pytest.mark.parametrize("sign", ["success", "bytes", "refusal"])
def test_store_that_has_shown_a_sign_of_life_is_tried_for_every_file(sign):
    def move(transfer, progress):
        if transfer.key != "0":
            raise EndpointConnectionError(endpoint_url="x")
        if sign == "bytes":
            progress(1)
        if sign == "refusal":
            raise ClientError({}, "GetObject")
        if sign != "success":
            raise EndpointConnectionError(endpoint_url="x")

    batch = silent_batch(move, 10, jobs=1)
    batch.run()
    assert not batch.unreachable
    assert len(batch.begun) == 10


@pytest.mark.portable
def test_what_an_earlier_call_has_left_is_no_sign_of_life():
    def move(transfer, progress):
        batch.expect(transfer, 1000, 500)
        progress(500)
        raise EndpointConnectionError(endpoint_url="x")

    batch = silent_batch(move, 10, jobs=1)
    batch.run()
    assert batch.unreachable


@pytest.mark.portable
@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["text", "json"])
def test_files_that_were_not_tried_are_counted_in_one_line(moto_bucket, capsys, monkeypatch, json_too):
    monkeypatch.setattr("cdn_request._ATTEMPTS", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        write_config("cdn.yaml", f"http://127.0.0.1:{unused.getsockname()[1]}")
        keys = [str(number) for number in range(100)]
        assert run("download", moto_bucket, *keys, "--jobs", "1", *json_too) == 1
    written = capsys.readouterr()
    (left,) = re.findall(r"\ncdn-manager: no connection to the store: (\d+) of 100 files were not tried\n", written.err)
    assert 1 <= int(left) < 100
    if json_too:
        summary = json.loads(written.out.splitlines()[-1])
        assert summary["not_tried"] == int(left)
        assert summary["done"] + summary["failed"] + summary["not_tried"] == 100


@pytest.mark.portable
def test_batch_ends_when_it_cannot_be_shown_any_more():
    shown = 0

    class Broken(Display):
        def finish(self, *_):
            nonlocal shown
            shown += 1
            raise BrokenPipeError

    def move(transfer, progress):
        while transfer.key != "0":
            progress(1)
            time.sleep(0.001)

    batch = silent_batch(move, 1000, jobs=2)
    batch.display = Broken()
    batch.run()
    assert isinstance(batch.error, BrokenPipeError)
    assert shown == 1
    assert batch.running == 0
    assert len(batch.begun) < 500


@pytest.mark.portable
def test_output_that_breaks_during_the_interruption_does_not_end_it(monkeypatch):
    monkeypatch.setattr("cdn_batch._PATIENCE", 1000)

    class Broken(Display):
        def finish(self, *_):
            if batch.signal is not None:
                raise BrokenPipeError
            signal.raise_signal(signal.SIGINT)

    both = threading.Barrier(2, timeout=20)
    with silent_batch(lambda *_: both.wait(), 2, jobs=2) as batch:
        batch.display = Broken()
        batch.run()
    assert batch.signal == signal.SIGINT
    assert isinstance(batch.error, BrokenPipeError)
    assert batch.running == 0


# Ctrl-C


@pytest.mark.portable
def test_second_ctrl_c_does_not_cut_off_how_it_ended(config, moto_bucket, stored, capsys, monkeypatch):
    stored(**{f"p/{number}": b"x" for number in range(20)})
    print_summary = cdn_cli._print_summary
    monkeypatch.setattr(cdn_progress._Lines, "finish", lambda *_: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(cdn_cli, "_print_summary", lambda *_: (signal.raise_signal(signal.SIGINT), print_summary(*_)))
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1") == 130
    written = capsys.readouterr()
    assert re.match(r"downloaded \d+ of 20 files", written.out)
    assert "run the command again to continue" in written.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.portable
def test_interrupted_download_does_not_claim_that_nothing_had_to_be_transferred(capsys):
    left = {"done": 1, "size": 5, "transferred": 0, "resumed": 0, "seconds": 1.0}
    cdn_cli._print_summary(left, 3, "downloaded")
    assert "nothing had to be transferred" not in capsys.readouterr().out


@pytest.mark.portable
def test_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with silent_batch(lambda *_: signal.raise_signal(signal.SIGTERM), 1, jobs=1) as batch:
            batch.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert batch.signal is None
    assert len(batch.done) == 1


@pytest.mark.portable
@pytest.mark.timeout(30)
@pytest.mark.parametrize("endless", [False, True], ids=["between two", "within all"])
def test_ctrl_c_ends_a_batch_without_losing_a_transfer(monkeypatch, endless):
    monkeypatch.setattr("cdn_batch._PATIENCE", 1000)  # what is lost is waited for

    def move(transfer, progress):
        if transfer.key == "50":
            _thread.interrupt_main()
        while True:
            progress(1)
            time.sleep(0.001)
            if not endless or int(transfer.key) < 50:
                break

    with silent_batch(move, 1000, jobs=4) as batch:
        batch.run()
    assert batch.signal == signal.SIGINT
    assert batch.running == 0
    assert 50 <= len(batch.done) < 1000
    assert not batch.failed


# On a terminal


class Terminal:
    """The command on a terminal of 24 by 100."""

    def __init__(self, *arguments):
        import fcntl
        import pty
        import struct
        import termios

        self.screen = ""
        self.end, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
        self.process = subprocess.Popen(
            [PROGRAM, *arguments], stdin=terminal, stdout=terminal, stderr=terminal,
            env={**os.environ, "TERM": "xterm"}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(terminal)

    def read_until(self, pattern):
        while not (found := re.search(pattern, self.screen)):
            assert self._read(), f"ended without {pattern!r}: {self.screen}"
        return found

    def _read(self):
        try:
            block = os.read(self.end, 1 << 16)
        except OSError:  # the other end was closed
            block = b""
        self.screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", block.decode(errors="replace"))
        return block

    def press_ctrl_c(self):
        os.write(self.end, b"\x03")

    def wait(self):
        """Return the exit status."""
        while self._read():
            pass
        os.close(self.end)
        return self.process.wait()


class Relay:
    """A slow way to a store: each connection passes 64 KiB at a time, with a pause after each."""

    def __init__(self, url):
        self.store = urlsplit(url)
        self.pause = 0.01
        self.flows = threading.Event()
        self.flows.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                store = socket.create_connection((self.store.hostname, self.store.port))
                threading.Thread(target=self._pass_on, args=(client, store), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(store, client), daemon=True).start()

    def _pass_on(self, source, target):
        ticker = threading.Event()
        with contextlib.suppress(OSError):
            while block := source.recv(64 << 10):
                self.flows.wait()
                target.sendall(block)
                ticker.wait(self.pause)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.flows.set()
        self.listener.close()


@pytest.fixture
def relay(store):
    made = Relay(store.url)
    write_config("cdn.yaml", made.url)
    yield made
    made.close()


@pytest.fixture
def release():
    """A directory with 200 small files and a real model."""
    path = Path("release")
    for number in range(200):
        write_files(path / f"part{number % 10}", **{f"{number:03}.bin": os.urandom(3000 + number)})
    (path / "model.safetensors").symlink_to(model_file())
    return path


needs_terminal = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals of POSIX")
SOME_OF_THE_MODEL = r"model\.safetensors \S+ +[1-9]\d*\.\d/90\.9 MB"


@needs_terminal
def test_tree_goes_up_and_comes_down_elsewhere_before_ones_eyes(store, bucket, release):
    write_config("cdn.yaml", store.url)
    upload = Terminal("upload", bucket, str(release))
    assert upload.wait() == 0
    assert re.search(SOME_OF_THE_MODEL, upload.screen)
    assert re.search(r"\d+ of 201 files .+/91\.5 MB", upload.screen)
    assert upload.screen.rstrip().splitlines()[-1].startswith("uploaded 201 files, 91.5 MB in ")
    download = Terminal("download", bucket, "--prefix", "", "--into", "elsewhere")
    assert download.wait() == 0
    assert download.screen.rstrip().splitlines()[-1].startswith("downloaded 201 files, 91.5 MB in ")
    assert_same_trees(release, "elsewhere")


@needs_terminal
def test_download_goes_on_after_ctrl_c_and_another(relay, bucket, manager, release):
    model = release / "model.safetensors"
    manager.store(bucket, "model.safetensors", model)
    command = ["download", bucket, "model.safetensors", "--into", "."]
    for _ in range(2):
        download = Terminal(*command)
        download.read_until(SOME_OF_THE_MODEL)
        download.press_ctrl_c()
        assert download.wait() == 130
        assert "cdn-manager: interrupted with 0 of 1 done; what came is kept: run the command again" in download.screen
        assert "Traceback" not in download.screen
        assert not Path("model.safetensors").exists()
    relay.pause = 0
    last = Terminal(*command)
    assert last.wait() == 0
    assert "MB resumed" in last.screen
    assert re.search(r"downloaded 1 file, 90\.9 MB in .+, \d+\.\d MB of them resumed", last.screen)
    assert filecmp.cmp(model, "model.safetensors", shallow=False)


@needs_terminal
def test_upload_leaves_nothing_unfinished_after_ctrl_c(relay, bucket, admin, release):
    upload = Terminal("upload", bucket, str(release), "--jobs", "2")
    upload.read_until(SOME_OF_THE_MODEL)
    upload.press_ctrl_c()
    assert upload.wait() == 130
    assert "what is not done was not stored: run the command again" in upload.screen
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=bucket)


@needs_terminal
@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", None)])
def test_upload_leaves_nothing_unfinished_after_a_signal(relay, bucket, admin, release, number):
    upload = Terminal("upload", bucket, str(release / "model.safetensors"))
    upload.read_until(SOME_OF_THE_MODEL)
    upload.process.send_signal(number)
    assert upload.wait() == 128 + number
    assert "interrupted with 0 of 1 done" in upload.screen
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=bucket)


@needs_terminal
def test_upload_leaves_nothing_unfinished_when_its_terminal_closes(relay, bucket, admin, release):
    upload = Terminal("upload", bucket, str(release / "model.safetensors"))
    upload.read_until(SOME_OF_THE_MODEL)
    os.close(upload.end)
    assert upload.process.wait() == 128 + signal.SIGHUP
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=bucket)


@needs_terminal
def test_ctrl_c_ends_a_download_whose_connection_is_dead(relay, bucket):
    relay.flows.clear()
    download = Terminal("download", bucket, "model.safetensors")
    download.read_until(r"model\.safetensors")
    download.press_ctrl_c()
    download.press_ctrl_c()
    assert download.wait() == 130
    assert "Traceback" not in download.screen
    assert "interrupted with 0 of 1 done" in download.screen


@needs_terminal
def test_failure_is_told_in_the_stores_own_words_on_a_terminal(store, bucket):
    write_config("cdn.yaml", store.url)
    download = Terminal("download", bucket, "nothing")
    assert download.wait() == 1
    assert f"cdn-manager: {bucket}/nothing: the store answered 404 NoSuchKey" in download.screen


@needs_terminal
def test_check_is_green_and_red_on_a_terminal(store, bucket):
    write_config("cdn.yaml", store.url)
    good = Terminal("check", bucket)
    assert good.wait() == 0
    assert "failed" not in good.screen
    bad = Terminal("check", "no-such-bucket")
    assert bad.wait() == 1
    assert re.search(r"^failed +bucket", bad.screen, re.MULTILINE)
