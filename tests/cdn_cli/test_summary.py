"""Tests the summary: the last words of a batch."""

import _thread
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from altering_proxy import AlteringProxy, serving
from command import PROGRAM, run, write_config

from cdn_cli.batch import Batch
from cdn_cli.console import Output
from cdn_cli.direction import DOWNLOAD, UPLOAD
from cdn_cli.progress import Display
from cdn_cli.summary import _report, summary_text
from cdn_cli.transfer import Transfer


@pytest.mark.portable
def test_second_ctrl_c_does_not_cut_off_the_summary(config, moto_bucket, stored, capsys, monkeypatch):
    stored(**{f"p/{number}": b"x" for number in range(20)})
    monkeypatch.setattr("cdn_cli.download.DOWNLOAD", DOWNLOAD._replace(patience=1000))

    pressed = threading.Event()

    def press_ctrl_c(*_):
        signal.raise_signal(signal.SIGINT)
        pressed.set()

    def press_again_and_summarize(*arguments):
        signal.raise_signal(signal.SIGINT)
        return summary_text(*arguments)

    monkeypatch.setattr("cdn_cli.lines.LinesDisplay.advance", lambda *_: pressed.wait(60))
    monkeypatch.setattr("cdn_cli.lines.LinesDisplay.tick", press_ctrl_c)
    monkeypatch.setattr("cdn_cli.summary.summary_text", press_again_and_summarize)
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1") == 130
    written = capsys.readouterr()
    assert re.match(r"downloaded \d+ of 20 files", written.out)
    assert "run the command again to resume" in written.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def summary(**members):
    names = ("done", "skipped", "failed", "unverified", "size", "transferred", "resumed", "seconds")
    nothing = dict.fromkeys(names, 0)
    return {**nothing, "moving_seconds": members.get("seconds", 0), **members}


@pytest.mark.portable
@pytest.mark.parametrize(
    ("members", "count", "text"),
    [
        ({"done": 2, "size": 5000, "transferred": 5000, "seconds": 2}, 2, "2 files, 5.0 kB in 2.0 s (2.5 kB/s)"),
        ({"done": 1, "size": 5, "transferred": 5, "seconds": 0.004}, 1, "1 file, 5 bytes in 4 ms (1.2 kB/s)"),
        ({"done": 1, "size": 5, "transferred": 5, "seconds": 0}, 1, "1 file, 5 bytes in 1 ms"),
        ({"done": 1, "size": 5, "transferred": 5, "seconds": 60}, 1, "1 file, 5 bytes in 60.0 s"),
        ({"done": 1, "seconds": 0.004}, 1, "1 file, 0 bytes in 4 ms"),
        ({"done": 1, "size": 5, "seconds": 1}, 1, "1 file, 5 bytes in 1.0 s (nothing had to be transferred)"),
        ({"done": 1, "size": 5, "seconds": 1, "failed": 1}, 2, "1 of 2 files, 5 bytes in 1.0 s, 1 failed"),
        ({"failed": 1, "seconds": 41}, 1, "0 of 1 file, 1 failed"),
        ({"seconds": 0.01}, 3, "0 of 3 files"),
        ({"done": 1, "size": 9, "transferred": 4, "resumed": 5, "seconds": 1}, 1,
         "1 file, 9 bytes in 1.0 s (4 bytes/s), 5 bytes from an earlier run"),
        ({"done": 5, "skipped": 4, "size": 999, "transferred": 4, "resumed": 5, "seconds": 1}, 5,
         "1 of 5 files, 9 bytes in 1.0 s (4 bytes/s), 4 unchanged, 5 bytes from an earlier run"),
        ({"done": 4, "skipped": 3, "size": 99, "transferred": 4, "seconds": 1, "failed": 1}, 5,
         "1 of 5 files, 4 bytes in 1.0 s, 3 unchanged, 1 failed"),
        ({"done": 1, "size": 900, "transferred": 900, "seconds": 60, "moving_seconds": 9}, 1,
         "1 file, 900 bytes in 60.0 s (100 bytes/s)"),
        ({"done": 2, "skipped": 2, "size": 99, "seconds": 1}, 2, "0 of 2 files, 2 unchanged"),
    ],
)  # fmt: skip
def test_summary_does_not_contradict_itself(members, count, text):
    assert summary_text(summary(**members), count, "downloaded") == f"downloaded {text}"


@pytest.mark.portable
def test_files_that_were_not_verified_are_counted(moto_url, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"a", "b.bin": b"b"})
    with serving(AlteringProxy(moto_url, answers_with={"ETag": '"no MD5"'})) as address:
        write_config(f"http://{address}")
        assert run("download", moto_bucket, "a.bin", "b.bin", "--verbose") == 0
        written = capsys.readouterr().out
        assert "; 2 files not verified, for want of a SHA-256 at the store" in written
        assert len(re.findall(r"^[ab]\.bin: .+, not verified$", written, re.MULTILINE)) == 2
        assert run("download", moto_bucket, "a.bin", "b.bin", "--json") == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["unverified"] == 2


@pytest.mark.portable
def test_files_that_were_verified_and_uploads_are_not_called_unverified(config, moto_bucket, stored, capsys):
    stored(**{"with-an-md5": b"a"})
    Path("with-a-digest").write_bytes(b"c")
    assert run("upload", moto_bucket, "with-a-digest", "--verbose") == 0
    assert run("download", moto_bucket, "with-an-md5", "with-a-digest", "--verbose") == 0
    assert "not verified" not in capsys.readouterr().out


@pytest.mark.portable
def test_object_without_digest_and_etag_is_named_as_unverified_even_with_quiet(moto_url, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"a"})
    with serving(AlteringProxy(moto_url, answers_without=["etag"])) as address:
        write_config(f"http://{address}")
        assert run("download", moto_bucket, "a.bin", "--quiet") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cdn-manager: {moto_bucket}/a.bin: nothing was verified: ")


@pytest.mark.portable
def test_upload_that_has_not_ended_is_named_and_not_called_stored_or_lost(capsys):
    transfer = Transfer("model\n", "model", 5)
    end = threading.Event()

    def move(*_):
        _thread.interrupt_main()
        end.wait(60)

    batch = Batch(move, [transfer], 1, Display(), UPLOAD._replace(patience=0))
    with batch:
        batch.run()
        status = _report(batch, "models", Output(json=False, quiet=False, verbose=False))
    end.set()
    assert status == 130
    written = capsys.readouterr()
    assert written.out == "uploaded 0 of 1 file\n"
    first, second = written.err.splitlines()
    assert first.startswith("cdn-manager: models/model\\n: the upload had not ended: parts of it may remain at ")
    assert second.endswith("interrupted with 0 of 1 done; what the store has is kept: run the command again to go on")


def test_summary_stands_above_the_errors_in_a_file_that_gets_both(config, moto_bucket):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        [PROGRAM, "download", moto_bucket, "nothing"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment, text=True, check=False,
    )  # fmt: skip
    summary, error = ended.stdout.splitlines()
    assert summary == "downloaded 0 of 1 file, 1 failed"
    assert error.startswith(f"cdn-manager: {moto_bucket}/nothing: ")
