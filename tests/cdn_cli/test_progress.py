"""Tests the displays: JSON, plain lines, and bars on a terminal."""

import io
import json
import re
import sys

import pytest
from command import run

from cdn_cli.bars import BarsDisplay
from cdn_cli.console import Output, print_event
from cdn_cli.displays import choose
from cdn_cli.progress import LinesDisplay
from cdn_cli.transfer import Transfer
from cdn_manager import TransferResult

pytestmark = pytest.mark.portable

MODEL, OTHER = Transfer("model", "model", None), Transfer("other", "other", None)


def test_json_is_one_object_per_line(config, moto_bucket, stored, capsys):
    stored(**{"a.bin": b"abc"})
    assert run("download", moto_bucket, "a.bin", "nothing", "--json") == 1
    done, failed, summary = sorted(map(json.loads, capsys.readouterr().out.splitlines()), key=lambda e: e["event"])
    assert (done["event"], done["key"], done["size"]) == ("done", "a.bin", 3)
    assert (failed["event"], failed["key"], failed["error"]) == ("failed", "nothing", "NoSuchKey")
    assert (summary["event"], summary["done"], summary["failed"]) == ("summary", 1, 1)


def test_progress_without_a_terminal_is_an_occasional_plain_line(config, moto_bucket, stored, capsys, monkeypatch):
    monkeypatch.setattr("cdn_cli.progress._INTERVAL", 0.0)
    stored(**{"p/a": b"1" * 1000, "p/b": b"1" * 500})
    assert run("download", moto_bucket, "--prefix", "p", "--jobs", "1") == 0
    assert re.search(r"^2 of 2 files, 1\.5 kB of 1\.5 kB, .+/s, 0:00 left$", capsys.readouterr().err, re.MULTILINE)


def test_resumed_bytes_do_not_count_for_the_speed_of_the_plain_line(capsys, monkeypatch):
    display = LinesDisplay([MODEL], False)
    display.expect(MODEL, 1_000_000)
    display.resume(MODEL, 900_000)
    display.advance(MODEL, 10_000)
    display.began = display.printed = 0.0  # or rounding may make less than 10 s of them
    monkeypatch.setattr("time.monotonic", lambda: 10.0)
    display.tick()
    assert capsys.readouterr().err == "0 of 1 file, 910.0 kB of 1.0 MB, 1.0 kB/s, 1:30 left\n"


def test_unchanged_download_is_counted_once(config, moto_bucket, stored, capsys, monkeypatch):
    monkeypatch.setattr("cdn_cli.progress._INTERVAL", 0.0)
    stored(**{"a.bin": b"1" * 1000})
    assert run("download", moto_bucket, "a.bin") == run("download", moto_bucket, "a.bin") == 0
    assert capsys.readouterr().err.splitlines()[-1] == "1 of 1 file, 1.0 kB of 1.0 kB"


def unchanged(transfer, size):
    """Return the result of a transfer that had nothing to do."""
    return TransferResult("models", transfer.key, size, None, "5a", False, 0, 0, None, skipped=True)


def test_unchanged_files_do_not_count_for_the_speed_of_the_plain_line(capsys, monkeypatch):
    model, other = MODEL._replace(size=900_000), OTHER._replace(size=100_000)
    display = LinesDisplay([model, other], True)
    display.finish(model, unchanged(model, 900_000), 0.1)
    display.advance(other, 10_000)
    display.began = display.printed = 0.0  # or rounding may make less than 10 s of them
    monkeypatch.setattr("time.monotonic", lambda: 10.0)
    display.tick()
    assert capsys.readouterr() == (
        "model: 900.0 kB, unchanged\n", "1 of 2 files, 910.0 kB of 1.0 MB, 1.0 kB/s, 1:30 left\n",
    )  # fmt: skip


def test_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    output = Output(json=False, quiet=False, verbose=False)
    monkeypatch.setenv("TERM", "dumb")
    assert type(choose(output, "bucket", [MODEL])) is LinesDisplay
    monkeypatch.setenv("TERM", "xterm")
    assert type(choose(output, "bucket", [MODEL])) is BarsDisplay


@pytest.mark.parametrize(
    ("moved", "failed", "seconds", "line"),
    [
        (0, 0, 10, "0 of 1 file, 0 bytes of 1.0 kB"),
        (0, 0, 0, "0 of 1 file, 0 bytes of 1.0 kB"),
        (5, 0, 10, "0 of 1 file, 5 bytes of 1.0 kB"),
        (5, 0, 0, "0 of 1 file, 5 bytes of 1.0 kB"),
        (-5, 0, 10, "0 of 1 file, 0 bytes of 1.0 kB"),
        (2000, 0, 10, "0 of 1 file, 2.0 kB of 2.0 kB, 200 bytes/s, 0:00 left"),
        (500, 1, 10, "0 of 1 file, 1 failed, 500 bytes of 1.0 kB, 50 bytes/s, 0:10 left"),
    ],
)
def test_plain_line_shows_no_figure_that_makes_no_sense(capsys, monkeypatch, moved, failed, seconds, line):
    monkeypatch.setattr("cdn_cli.progress._INTERVAL", 0.0)
    display = LinesDisplay([Transfer("model", "model", 1000)], False)
    display.advance(MODEL, moved)
    display.failed = failed
    display.began = display.printed = 0.0  # or rounding may make less of the seconds
    monkeypatch.setattr("time.monotonic", lambda: float(seconds))
    display.tick()
    assert capsys.readouterr().err == f"{line}\n"


def test_json_is_ascii_without_control_characters(capsys):
    print_event({"key": "\x7f\x9b\u202e\ud800ü"})
    written = capsys.readouterr().out
    assert written.isascii()
    assert written[:-1].isprintable()
    assert json.loads(written) == {"key": "\x7f\x9b\u202e\ud800ü"}


# Bars


def bars(*transfers):
    """Return the display of a terminal with a bar for each transfer, and its bar for the total."""
    from rich.console import Console

    display = BarsDisplay(transfers, False, Console(file=io.StringIO(), force_terminal=True))
    for transfer in transfers:
        display.begin(transfer)
    display.tick()
    return display, display.progress.tasks[0]


def test_only_a_transfer_that_lasts_gets_a_bar():
    display, total = bars(MODEL, OTHER)
    assert display.progress.tasks == [total]
    display.advance(OTHER, 500)
    display.finish(OTHER, TransferResult("models", "other", 500, None, None, False, 500, 0, None), 0.1)
    display.tick()
    assert [task.description for task in display.progress.tasks] == ["1 of 2 files", "model"]
    display.fail(MODEL, OSError())
    assert display.progress.tasks == [total]


@pytest.mark.parametrize("waits", [False, True], ids=["at the start", "after a wait"])
def test_bar_says_how_much_is_resumed_and_leaves_it_out_of_the_speed(waits):
    display, _ = bars(MODEL)
    clock = [0.0]
    display.progress.get_time = lambda: clock[0]
    if waits:
        display.tick()
    display.expect(MODEL, 1_000_000)
    display.resume(MODEL, 900_000)
    display.tick()
    bar = display.progress.tasks[1]
    assert (bar.completed, bar.total, bar.fields["note"]) == (900_000, 1_000_000, "900.0 kB resumed")
    for clock[0] in (1.0, 2.0, 3.0):
        display.advance(MODEL, 1000)
        display.tick()
    assert bar.speed == 1000


def test_total_bar_shows_the_size_once_every_size_is_known():
    display, total = bars(MODEL, OTHER)
    display.expect(MODEL, 1000)
    display.tick()
    assert total.total is None
    display.expect(OTHER, 500)
    display.tick()
    assert total.total == 1500


def test_total_bar_leaves_out_the_size_of_a_failed_transfer():
    display, total = bars(MODEL, OTHER)
    display.expect(MODEL, 1000)
    display.expect(OTHER, None)
    display.fail(OTHER, OSError())
    display.tick()
    assert total.total == 1000


def test_resumed_bytes_do_not_count_for_the_speed_of_the_total_bar():
    display, total = bars(MODEL, OTHER)
    clock = [0.0]
    display.progress.get_time = lambda: clock[0]
    display.advance(OTHER, 1000)
    display.tick()
    clock[0] = 1.0
    display.resume(MODEL, 900_000)
    display.tick()
    for clock[0] in (2.0, 3.0, 4.0):
        display.advance(MODEL, 1000)
        display.tick()
    assert total.completed == 904_000
    assert total.speed == 1000


def test_unchanged_files_do_not_count_for_the_speed_of_the_total_bar():
    model, other = MODEL._replace(size=900_000), OTHER._replace(size=100_000)
    display, total = bars(model, other)
    clock = [0.0]
    display.progress.get_time = lambda: clock[0]
    display.finish(model, unchanged(model, 900_000), 0.1)
    display.tick()
    for clock[0] in (1.0, 2.0, 3.0):
        display.advance(other, 1000)
        display.tick()
    assert (total.completed, total.total, total.speed) == (903_000, 1_000_000, 1000)


def test_bytes_that_are_sent_again_do_not_show_as_a_negative_speed():
    model = Transfer("model", "model", 1000)
    display, total = bars(model)
    clock = [0.0]
    display.progress.get_time = lambda: clock[0]
    for clock[0], count in ((1.0, 100), (2.0, 100), (3.0, -200)):
        display.advance(model, count)
        display.tick()
    assert total.completed == 0
    assert total.speed > 0


def test_bar_for_all_files_does_not_count_a_failed_one_as_done():
    display, total = bars(MODEL, OTHER)
    display.fail(OTHER, OSError())
    display.tick()
    assert total.description == "0 of 2 files, 1 failed"
