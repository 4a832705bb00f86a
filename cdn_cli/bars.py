"""Shows the progress of a batch as bars on a terminal, drawn by rich."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cdn_cli.console import printable, size_text, sizes_text
from cdn_cli.layout import Layout, Widths, lay_out
from cdn_cli.lines import LinesDisplay
from cdn_cli.motion import Motion
from cdn_cli.status import Status, status_of
from cdn_cli.transfer import Transfer

__all__ = ["BarsDisplay"]

_FRAMES = 10  # a second


class _Row(NamedTuple):
    """One bar, and what stands beside it."""

    name: str
    share: float | None  # of the bytes; None if that is not known
    sizes: str
    status: Status
    note: str


class BarsDisplay(LinesDisplay):
    """Draws a bar for each running transfer, and one for all of them.

    A transfer that has ended before the second moment gets no bar: rich takes longer to draw one than a small object
    takes.
    """

    def __init__(
        self,
        bucket: str,
        transfers: Sequence[Transfer],
        verbose: bool,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(bucket, transfers, verbose, clock)
        self._seen: set[Transfer] = set()  # those that ran a moment ago
        self._shown: set[Transfer] = set()
        self._live = Live(
            self, console=console, refresh_per_second=_FRAMES, transient=True, redirect_stdout=sys.stdout.isatty()
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tick(self) -> None:
        """Measure; rich draws in a thread of its own."""
        with self.lock:
            self.measure()
            self._shown = self._seen & self.running.keys()
            self._seen = set(self.running)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self.lock:
            rows = self._rows()
        if rows:
            yield _table(rows, lay_out(_widths(rows), options.max_width))

    def _rows(self) -> list[_Row]:
        now = self.clock()
        rows = [_row(self.files(), self.total, now)] if self.count > 1 else []
        for transfer, motion in self.running.items():
            if transfer in self._shown:
                note = f"{size_text(motion.resumed)} resumed" if motion.resumed else ""
                rows.append(_row(printable(transfer.key), motion, now, note))
        return rows


def _row(name: str, motion: Motion, now: float, note: str = "") -> _Row:
    there = max(0, motion.bytes)  # negative for a moment, if a part is sent again
    share = min(1.0, there / motion.size) if motion.size else None
    return _Row(name, share, sizes_text(there, motion.size), status_of(motion, now), note)


def _widths(rows: list[_Row]) -> Widths:
    return Widths(
        max(cell_len(row.name) for row in rows),
        max(len(row.sizes) for row in rows),
        max(len(row.status.text) for row in rows),
        max(len(row.status.short) for row in rows),
        max(len(row.note) for row in rows),
    )


def _table(rows: list[_Row], layout: Layout) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    widths = layout[:5]
    for width in filter(None, widths):
        table.add_column(width=width, no_wrap=True, overflow="crop")
    for row in rows:
        cells: list[RenderableType] = [
            Text(_shorten(row.name, layout.name)),
            ProgressBar(1.0, row.share or 0.0, layout.bar),
            Text(row.sizes, "progress.download", justify="right"),
            Text(row.status.short if layout.is_short else row.status.text, "progress.remaining"),
            Text(row.note),
        ]
        table.add_row(*(cell for cell, width in zip(cells, widths, strict=True) if width))
    return table


def _shorten(name: str, columns: int) -> str:
    """Leave out the beginning of a name that is too long: how it ends tells more."""
    if cell_len(name) <= columns:
        return name
    while cell_len(name) >= columns:
        name = name[1:]
    return f"…{name}"
