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


class BarsDisplay(LinesDisplay):
    """Draws a bar for each running transfer, and one for all of them."""

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
        self.bars: dict[Transfer, TaskID] = {}
        self.overall = self.progress.add_task(self.files(), total=self.total, note="", visible=self.count > 1)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin(self, transfer: Transfer) -> None:
        name = printable(transfer.key)
        if len(name) > _NAME_WIDTH:
            name = f"…{name[1 - _NAME_WIDTH :]}"
        self.bars[transfer] = self.progress.add_task(name, total=transfer.size, note="")

    def expect(self, transfer: Transfer, size: int | None) -> None:
        super().expect(transfer, size)
        self.progress.update(self.bars[transfer], total=size)
        self._update_overall()

    def resume(self, transfer: Transfer, count: int) -> None:
        with self.lock:
            super().resume(transfer, count)
            # A reset, because an advance would count these bytes for the speed.
            self.progress.reset(self.bars[transfer], completed=count, note=f"{size_text(count)} resumed")
            self.progress.reset(self.overall, completed=self.bytes)

    def advance(self, transfer: Transfer, count: int) -> None:
        with self.lock:
            super().advance(transfer, count)
            for bar in (self.bars[transfer], self.overall):
                self.progress.update(bar, advance=count)  # unlike advance(), without a negative count in the speed

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        super().finish(transfer, result, seconds)
        self._remove(transfer)

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        super().fail(transfer, error)
        self._remove(transfer)

    def tick(self) -> None:
        """Do nothing: rich draws the bars in a thread of its own."""

    def _remove(self, transfer: Transfer) -> None:
        self._update_overall()
        self.progress.remove_task(self.bars.pop(transfer))

    def _update_overall(self) -> None:
        self.progress.update(self.overall, description=self.files(), total=self.total)
