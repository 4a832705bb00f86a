"""Tests `cdn-manager upload`."""

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from command import PROGRAM, run, write_config, write_files
from objects import payload_of
from terminal import Terminal

from cdn_cli.batch import Interrupted
from cdn_cli.upload import _Input
from cdn_engine.errors import printable


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
def test_file_that_no_machine_could_download_is_rejected_before_anything_is_sent(
    config, moto_bucket, stored, capsys, name
):
    write_files("release", **{"a.bin": b"a", name: b"b"})
    assert run("upload", moto_bucket, "release") == 2
    assert stored() == []
    written = capsys.readouterr().err
    assert printable(repr(f"release/{name}")) in written
    assert "rename the file" in written


@pytest.mark.portable
def test_key_that_leads_elsewhere_is_rejected_before_anything_is_sent(config, moto_bucket, stored, capsys):
    write_files(".", **{"a.bin": b"a"})
    assert run("upload", moto_bucket, "a.bin", "--prefix", "../up") == 2
    assert stored() == []
    assert "change --prefix: " in capsys.readouterr().err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="POSIX links")
def test_keys_do_not_depend_on_links_of_the_uploading_machine(config, moto_bucket, stored, tmp_path):
    write_files(tmp_path / "data", **{"a.bin": b"a"})
    for link in (Path(moto_bucket), Path("v2")):
        link.symlink_to(tmp_path / "data")
    assert run("upload", moto_bucket, "v2", "--prefix", "v2") == 0
    assert stored() == ["v2/a.bin"]


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="POSIX links")
def test_link_to_a_directory_is_skipped_with_a_message(config, moto_bucket, stored, tmp_path, capsys):
    write_files("release", **{"a.bin": b"a"})
    Path("release/link").symlink_to(tmp_path)
    assert run("upload", moto_bucket, "release") == 0
    assert stored() == ["a.bin"]
    assert capsys.readouterr().err == "cdn-manager: 'release/link' is a link to a directory: skipped\n"
    assert run("upload", moto_bucket, "release", "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.portable
def test_keys_are_file_names_and_paths_below_directories(config, moto_bucket, stored, capsys):
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
def test_two_files_with_the_same_key_are_rejected_before_anything_is_sent(config, moto_bucket, stored, capsys):
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
def test_no_overwrite_refuses_existing_objects_and_stores_the_others(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"old"})
    write_files("release", **{"a.bin": b"new", "b.bin": b"b"})
    assert run("upload", moto_bucket, "release", "--no-overwrite") == 1
    assert stored() == ["a.bin", "b.bin"]
    written = capsys.readouterr()
    assert written.out.startswith("uploaded 1 of 2 files")
    assert "a.bin: the object already exists and was not replaced" in written.err


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="names that Windows cannot have")
def test_everything_that_cannot_be_uploaded_is_named_at_once_before_anything_is_sent(
    config, moto_bucket, stored, capsys
):
    write_files("release", **{"a.bin": b"a", "con": b"c", "x\u202ey:z": b"d", ".cdn-0123.part": b"x"})
    write_files("other", **{"a.bin": b"b"})
    os.mkfifo("release/pipe")
    Path("release/nowhere").symlink_to("nothing")
    assert run("upload", moto_bucket, "release", "other", "missing", "cdn.yaml") == 2
    assert stored() == []
    lines = capsys.readouterr().err.splitlines()
    for part in (
        "'release/con': rename the file", "'release/x\\u202ey:z': rename the file",
        "'release/pipe' is neither a file nor a directory", "No such file or directory: 'release/nowhere'",
        "'release/a.bin' and 'other/a.bin' would both become the object 'a.bin'",
        "No such file or directory: 'missing'", "'cdn.yaml' is the configuration file in use",
    ):  # fmt: skip
        assert len([line for line in lines if line.startswith("cdn-manager: ") and part in line]) == 1
    assert lines[-1] == "cdn-manager: nothing was uploaded"
    assert len(lines) == 8


@pytest.mark.portable
def test_files_whose_keys_cannot_both_be_files_are_rejected_before_anything_is_sent(
    config, moto_bucket, stored, capsys
):
    write_files(".", one__a=b"1", two__a__b=b"2")
    assert run("upload", moto_bucket, "one", "two") == 2
    assert stored() == []
    line = capsys.readouterr().err.splitlines()[0].replace(os.sep * 2, "/").replace(os.sep, "/")
    assert line == "cdn-manager: 'one/a' and 'two/a/b' would become 'a' and 'a/b', which cannot both be files"


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may read every file")
def test_unreadable_file_is_named_before_anything_is_sent(config, moto_bucket, stored, capsys):
    write_files("release", **{"a.bin": b"a", "b.bin": b"b"})
    Path("release/b.bin").chmod(0)
    assert run("upload", moto_bucket, "release") == 2
    assert stored() == []
    assert "'release/b.bin' cannot be read" in capsys.readouterr().err


@pytest.mark.portable
def test_quiet_upload_that_succeeds_writes_nothing(config, moto_bucket, capsys, monkeypatch):
    monkeypatch.setattr("cdn_cli.progress._INTERVAL", 0.0)
    write_files(".", **{"a.bin": b"a"})
    assert run("upload", moto_bucket, "a.bin", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.portable
def test_file_that_does_not_exist_is_called_that_whatever_its_name(config, moto_bucket, capsys):
    assert run("upload", moto_bucket, "no:such\x1bfile") == 2
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == "cdn-manager: No such file or directory: 'no:such\\x1bfile'"


# One file under another key, and standard input


@pytest.mark.portable
def test_key_names_the_one_file_whatever_its_own_name(config, moto_bucket, stored, capsys):
    write_files(".", **{"con.bin": b"a", "b.bin": b"b", "folder__c": b"c"})
    assert run("upload", moto_bucket, "con.bin", "--key", "v2/a.bin") == 0
    assert run("upload", moto_bucket, "b.bin", "--key", "b", "--prefix", "v3") == 0
    assert stored() == ["v2/a.bin", "v3/b"]
    for paths in (["con.bin", "b.bin"], ["folder"]):
        assert run("upload", moto_bucket, *paths, "--key", "x") == 2
        assert "--key is the key of one object" in capsys.readouterr().err


@pytest.mark.parametrize("size", [0, 7, 9 << 20], ids=["empty", "small", "parts"])
def test_standard_input_is_stored_with_its_digest(store, bucket, admin, size):
    write_config(store.url)
    content = payload_of(size)
    command = [PROGRAM, "upload", bucket, "-", "--key", "v2/a.bin", "--json"]
    ran = subprocess.run(command, input=content, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    done = next(event for event in map(json.loads, ran.stdout.splitlines()) if event["event"] == "done")
    assert (done["path"], done["key"], done["size"]) == ("-", "v2/a.bin", size)
    found = admin.get_object(Bucket=bucket, Key="v2/a.bin")
    assert found["Body"].read() == content
    assert found["Metadata"] == {"sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.portable
def test_unchanged_standard_input_is_not_sent_again_from_a_pipe_or_a_file(config, moto_bucket, stored):
    write_files(".", a=b"weights")
    command = [PROGRAM, "upload", moto_bucket, "-", "--key", "a"]
    outputs = []
    for _ in range(2):
        outputs.append(subprocess.run(command, input=b"weights", capture_output=True, check=True).stdout)
    with open("a", "rb") as file:
        outputs.append(subprocess.run(command, stdin=file, capture_output=True, check=True).stdout)
    assert outputs[0].startswith(b"uploaded 1 file, 7 bytes in ")
    assert outputs[1:] == [b"uploaded 0 of 1 file, 1 unchanged\n"] * 2


@pytest.mark.portable
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_interrupted_standard_input_is_not_stored(config, moto_bucket, stored):
    command = [PROGRAM, "upload", moto_bucket, "-", "--key", "a"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        process.stdin.write(bytes(1 << 20))  # more than a pipe holds: it is being read
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(BrokenPipeError):
            while True:
                process.stdin.write(bytes(1 << 16))
        assert b"interrupted with 0 of 1 done" in process.stderr.read()
    assert process.returncode == 143
    assert stored() == []


@pytest.mark.portable
def test_end_of_a_pipe_is_not_believed_once_the_command_is_interrupted(monkeypatch):
    """Ctrl-C ends what writes to the pipe too, and what has come until then would look like all of it."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))

    def progress(_):
        raise Interrupted

    with pytest.raises(Interrupted):
        _Input(progress).read()


@pytest.mark.skipif(os.name != "posix", reason="POSIX pseudo-terminals")
def test_terminal_as_standard_input_is_an_error_that_says_so(moto_url):
    write_config(moto_url)
    upload = Terminal("upload", "models", "-", "--key", "a")
    assert upload.wait() == 2
    assert "standard input is a terminal" in upload.screen


@pytest.mark.portable
@pytest.mark.parametrize("arguments", [["-"], ["-", "file", "--key", "a"], ["-", "-", "--key", "a"]], ids=" ".join)
def test_standard_input_needs_a_key_and_comes_alone(config, moto_bucket, capsys, arguments):
    write_files(".", file=b"a")
    assert run("upload", moto_bucket, *arguments) == 2
    assert "'-' is standard input: give --key KEY" in capsys.readouterr().err


def test_standard_input_gets_no_key_that_some_machine_cannot_download(config, moto_bucket, stored, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    for more in ([], ["--dry-run"]):
        assert run("upload", moto_bucket, "-", "--key", "con.bin", *more) == 2
        assert "change --key or --prefix: no machine could download 'con.bin'" in capsys.readouterr().err
    assert stored() == []
