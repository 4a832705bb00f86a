"""Tests the bars on a terminal: each line as it is drawn. The clock is an argument."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from cdn_cli.bars import BarsDisplay
from cdn_cli.transfer import Transfer
from cdn_engine.phases import FINISHING, HASHING, RECEIVING, SENDING, WAITING
from cdn_manager import TransferResult

pytestmark = pytest.mark.portable

MODEL, OTHER = Transfer("release/model.safetensors", "model", 90_900_000), Transfer("other", "other", 1000)


class Screen:
    """Bars on a terminal, and a clock that stands still until it is told to move."""

    def __init__(self, *transfers):
        self.now = 0.0
        self.console = Console(file=io.StringIO(), force_terminal=True)
        self.display = BarsDisplay("models", transfers, False, self.console, lambda: self.now)
        for transfer in transfers:
            self.display.begin(transfer)

    def move(self, transfer, seconds, rate):
        for _ in range(seconds):
            self.now += 1
            self.display.advance(transfer, rate)
            self.display.tick()

    def lines(self, columns=100):
        self.display.tick()
        options = self.console.options.update_width(columns)
        drawn = self.console.render_lines(self.display, options, pad=False)
        return [line for segments in drawn if (line := "".join(segment.text for segment in segments).rstrip())]


@pytest.fixture
def receiving():
    """A model that has been received for four seconds, at 10 MB/s, and 30 MB of which were there."""
    screen = Screen(MODEL)
    screen.display.enter(MODEL, RECEIVING, 0)
    screen.display.resume(MODEL, 30_000_000)
    screen.move(MODEL, 4, 10_000_000)
    return screen


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (200, "release/model.safetensors ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸━━━━━━━━━ 70.0/90.9 MB 10.0 MB/s 0:02 "
         "30.0 MB resumed"),
        (100, "release/model.safetensors ━━━━━━━━━━━━━━━╺━━━━ 70.0/90.9 MB 10.0 MB/s 0:02 30.0 MB resumed"),
        (80, "…el.safetensors ━━━━━━━━━━━━━━━╺━━━━ 70.0/90.9 MB 10.0 MB/s 0:02 30.0 MB resumed"),
        (60, "…ease/model.safetensors ━━━━━━╺━ 70.0/90.9 MB 10.0 MB/s 0:02"),
        (42, "…l.safetensors 70.0/90.9 MB 10.0 MB/s 0:02"),
        (30, "…safetensors 70.0/90.9 MB 0:02"),
    ],
)  # fmt: skip
def test_line_fits_into_the_terminal(receiving, columns, line):
    assert receiving.lines(columns) == [line]


def test_window_that_is_resized_gets_lines_of_its_new_width(receiving):
    assert [max(map(cell_len, receiving.lines(columns))) <= columns for columns in (100, 42, 200, 30)] == [True] * 4


def test_name_in_wide_characters_is_cut_by_what_it_takes_on_the_screen():
    wide = Transfer("模型" * 30 + ".bin", "model", 1000)
    screen = Screen(wide)
    screen.lines()
    (line,) = screen.lines(42)
    assert cell_len(line) <= 42
    assert line.startswith("…")
    assert ".bin " in line


def test_name_cannot_control_the_terminal():
    evil = Transfer("a\x1b[2J", "model", 1000)
    screen = Screen(evil)
    screen.lines()
    assert screen.lines()[0].startswith(r"a\x1b[2J ")


def test_only_a_transfer_that_lasts_gets_a_bar():
    screen = Screen(MODEL, OTHER)
    assert [line.split("  ")[0] for line in screen.lines()] == ["0 of 2 files ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━"]
    screen.display.finish(OTHER, TransferResult("models", "other", 1000, None, None, False, 1000, 0, None), 0.1)
    total, model = screen.lines()
    assert total.startswith("1 of 2 files")
    assert model.startswith("release/model.safetensors")
    screen.display.fail(MODEL, OSError())
    assert [line.split(" ━")[0] for line in screen.lines()] == ["1 of 2 files, 1 failed"]


def test_bar_that_is_full_says_what_is_still_done():
    screen = Screen(OTHER)
    screen.display.enter(OTHER, SENDING, 0)
    screen.move(OTHER, 2, 500)
    assert screen.lines()[0].endswith(" 1.0/1.0 kB finishing")
    screen.now += 60
    assert screen.lines()[0].endswith(" 1.0/1.0 kB finishing 1:00")
    screen.display.enter(OTHER, FINISHING, 0)
    assert screen.lines()[0].endswith(" 1.0/1.0 kB finishing")


def test_each_bar_names_its_phase():
    screen = Screen(MODEL, OTHER)
    screen.display.enter(MODEL, HASHING, 45_450_000)
    screen.display.enter(OTHER, WAITING, 0)
    screen.now = 42.0
    screen.lines()
    total, model, other = screen.lines(110)
    assert total.endswith("hashing 0:42")
    assert model.endswith("hashing 50 %")
    assert other.endswith("waiting for another process 0:42")


def test_bar_without_a_size_shows_what_has_come():
    stream = Transfer("stream", "-", None)
    screen = Screen(stream)
    screen.display.enter(stream, RECEIVING, 0)
    screen.move(stream, 3, 1_000_000)
    assert screen.lines()[0].rstrip().endswith(" 3.0 MB  1.0 MB/s")
