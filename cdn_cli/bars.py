"""Shows the progress of a batch as bars on a terminal, drawn by rich."""

import sys
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cdn_cli.console import printable, size_text
from cdn_cli.progress import LinesDisplay
from cdn_cli.transfer import Transfer
from cdn_manager import TransferResult

__all__ = ["BarsDisplay"]

_NAME_WIDTH = 32  # characters of a bar's name, so that the bar and its figures fit into a line of 100


class _Bar:
    """What a running transfer has moved, and the bar that shows it."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.bytes = 0
        self.resumed = 0
        self.task: TaskID | None = None


class BarsDisplay(LinesDisplay):
    """Draws a bar for each running transfer, and one for all of them.

    The threads of the pool only count. What they have counted is shown once in a moment, and a transfer that has ended
    before the second moment gets no bar: rich takes longer to draw one than a small object takes.
    """

    wants_sizes = True

    def __init__(self, transfers: Sequence[Transfer], verbose: bool, console: Console) -> None:
        super().__init__(transfers, verbose)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self.bars: dict[Transfer, _Bar] = {}  # of the transfers that run
        self.seen: set[Transfer] = set()  # those that ran a moment ago
        self.reused = 0  # bytes of earlier runs that the bar for all of them knows of
        self.overall = self.progress.add_task(self.files(), total=self.total, note="", visible=self.count > 1)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin(self, transfer: Transfer) -> None:
        self.bars[transfer] = _Bar(transfer.size)

    def expect(self, transfer: Transfer, size: int | None) -> None:
        super().expect(transfer, size)
        self.bars[transfer].size = size

    def resume(self, transfer: Transfer, count: int) -> None:
        super().resume(transfer, count)
        self.bars[transfer].bytes += count
        self.bars[transfer].resumed = count

    def advance(self, transfer: Transfer, count: int) -> None:
        super().advance(transfer, count)
        self.bars[transfer].bytes += count

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        super().finish(transfer, result, seconds)
        self._remove(transfer)

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        super().fail(transfer, error)
        self._remove(transfer)

    def tick(self) -> None:
        """Bring the bars up to date; rich draws them in a thread of its own."""
        running = self.bars.copy()
        for transfer in running.keys() & self.seen:
            self._show(transfer, running[transfer])
        self.seen = set(running)
        if self.resumed != self.reused:
            self.reused = self.resumed
            self.progress.reset(self.overall, completed=self.bytes)  # an update would count them for the speed
        self.progress.update(self.overall, description=self.files(), total=self.total, completed=self.bytes)

    def _show(self, transfer: Transfer, bar: _Bar) -> None:
        if bar.task is None:
            name = printable(transfer.key)
            if len(name) > _NAME_WIDTH:
                name = f"…{name[1 - _NAME_WIDTH :]}"
            bar.task = self.progress.add_task(name, note="")
        note = f"{size_text(bar.resumed)} resumed" if bar.resumed else ""
        self.progress.update(bar.task, total=bar.size, completed=bar.bytes, note=note)

    def _remove(self, transfer: Transfer) -> None:
        bar = self.bars.pop(transfer)
        if bar.task is not None:
            self.progress.remove_task(bar.task)
