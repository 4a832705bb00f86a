"""Tests the summary: the last words of a batch."""

import re
import signal

import pytest
from command import run

import cdn_cli.summary


@pytest.mark.portable
def test_second_ctrl_c_does_not_cut_off_the_summary(config, moto_bucket, stored, capsys, monkeypatch):
    stored(**{f"p/{number}": b"x" for number in range(20)})
    monkeypatch.setattr("cdn_cli.batch._PATIENCE", 1000)
    print_summary = cdn_cli.summary._print_summary

    def press_ctrl_c(*_):
        signal.raise_signal(signal.SIGINT)

    def press_again_and_print(*arguments):
        signal.raise_signal(signal.SIGINT)
        print_summary(*arguments)

    monkeypatch.setattr("cdn_cli.progress.LinesDisplay.finish", press_ctrl_c)
    monkeypatch.setattr("cdn_cli.summary._print_summary", press_again_and_print)
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1") == 130
    written = capsys.readouterr()
    assert re.match(r"downloaded \d+ of 20 files", written.out)
    assert "run the command again to resume" in written.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.portable
def test_interrupted_download_does_not_claim_that_nothing_had_to_be_transferred(capsys):
    kept = {"done": 1, "size": 5, "transferred": 0, "resumed": 0, "seconds": 1.0}
    cdn_cli.summary._print_summary(kept, 3, "downloaded")
    assert "nothing had to be transferred" not in capsys.readouterr().out
