"""Tests the plain lines that show progress without a terminal. The clock is an argument."""

import sys

import pytest
from command import run

from cdn_cli.bars import BarsDisplay
from cdn_cli.console import Output
from cdn_cli.displays import choose
from cdn_cli.lines import LinesDisplay
from cdn_cli.transfer import Transfer
from cdn_engine.phases import HASHING, RECEIVING, SENDING
from cdn_manager import TransferResult

pytestmark = pytest.mark.portable

MODEL = Transfer("model", "model", 1000)


class Lines(LinesDisplay):
    """Plain lines, and a clock that stands still until it is told to move."""

    def __init__(self, *transfers, verbose=False):
        self.now = 0.0
        super().__init__("models", transfers, verbose, lambda: self.now)
        for transfer in transfers:
            self.begin(transfer)

    def move(self, transfer, seconds, rate):
        for _ in range(seconds):
            self.now += 1
            self.advance(transfer, rate)
            self.tick()


def test_line_comes_every_ten_seconds(capsys):
    display = Lines(MODEL)
    display.enter(MODEL, RECEIVING, 0)
    display.move(MODEL, 25, 10)
    assert capsys.readouterr().err == (
        "model, 100 bytes of 1.0 kB, 10 bytes/s, 1:30 left\n"
        "model, 200 bytes of 1.0 kB, 10 bytes/s, 1:20 left\n"
    )  # fmt: skip


def test_time_left_is_that_of_the_last_seconds_and_not_of_the_average(capsys):
    model = MODEL._replace(size=100_000)
    display = Lines(model)
    display.enter(model, RECEIVING, 0)
    display.move(model, 9, 10_000)
    display.move(model, 11, 10)
    assert capsys.readouterr().err.splitlines()[-1] == "model, 90.1 kB of 100.0 kB, 10 bytes/s, 16:29 left"


def test_line_names_the_phase_of_what_does_not_move(capsys):
    display = Lines(MODEL)
    display.enter(MODEL, HASHING, 430)
    display.move(MODEL, 10, 0)
    assert capsys.readouterr().err == "model, 0 bytes of 1.0 kB, hashing 43 %\n"


def test_line_says_finishing_when_all_bytes_are_there(capsys):
    display = Lines(MODEL)
    display.enter(MODEL, SENDING, 0)
    display.move(MODEL, 10, 100)
    assert capsys.readouterr().err == "model, 1.0 kB of 1.0 kB, finishing\n"


def test_line_says_that_the_store_does_not_answer(capsys):
    display = Lines(MODEL)
    display.enter(MODEL, RECEIVING, 0)
    display.move(MODEL, 10, 0)
    assert capsys.readouterr().err == "model, 0 bytes of 1.0 kB, no answer 0:10\n"


def test_line_shows_no_size_below_zero_and_none_that_is_exceeded(capsys):
    display = Lines(MODEL)
    display.enter(MODEL, RECEIVING, 0)
    display.move(MODEL, 10, -5)
    display.move(MODEL, 10, 205)
    below, above = capsys.readouterr().err.splitlines()
    assert below.startswith("model, 0 bytes of 1.0 kB")
    assert above == "model, 2.0 kB of 2.0 kB, finishing 0:04"


def test_line_counts_files_that_are_done_and_that_have_failed(capsys):
    other = Transfer("other", "other", 500)
    display = Lines(MODEL, other, verbose=True)
    display.finish(MODEL, TransferResult("models", "model", 1000, None, "5a", False, 0, 0, None, skipped=True), 0.1)
    display.fail(other, OSError())
    display.now = 10.0
    display.tick()
    assert capsys.readouterr() == ("model: 1.0 kB, unchanged\n", "1 of 2 files, 1 failed, 1.0 kB of 1.0 kB\n")


def test_progress_without_a_terminal_is_an_occasional_plain_line(config, moto_bucket, stored, capsys, monkeypatch):
    monkeypatch.setattr("cdn_cli.lines._INTERVAL", 0.0)
    stored(**{"p/a": b"1" * 1000, "p/b": b"1" * 500})
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1") == 0
    assert "2 of 2 files, 1.5 kB of 1.5 kB" in capsys.readouterr().err


def test_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    output = Output(json=False, quiet=False, verbose=False)
    monkeypatch.setenv("TERM", "dumb")
    assert type(choose(output, "bucket", [MODEL])) is LinesDisplay
    monkeypatch.setenv("TERM", "xterm")
    assert type(choose(output, "bucket", [MODEL])) is BarsDisplay
