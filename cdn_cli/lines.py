"""Shows the progress of a batch as plain lines."""

import sys
import time
from collections.abc import Callable, Sequence

from cdn_cli.console import printable, rate_text, seconds_text, size_text
from cdn_cli.motion import is_moving
from cdn_cli.progress import CountingDisplay
from cdn_cli.status import clock_text, status_of
from cdn_cli.transfer import Transfer
from cdn_manager import TransferResult

__all__ = ["LinesDisplay"]

_INTERVAL = 10.0  # seconds between two lines


class LinesDisplay(CountingDisplay):
    """Prints a line from time to time.

    Args:
        bucket: The bucket.
        transfers: All transfers of the batch.
        verbose: Print a line for each of them, too.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        bucket: str,
        transfers: Sequence[Transfer],
        verbose: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(bucket, transfers, clock)
        self.verbose = verbose
        self._printed = clock()

    def finish(self, transfer: Transfer, result: TransferResult, seconds: float) -> None:
        super().finish(transfer, result, seconds)
        if self.verbose:
            resumed = f", {size_text(result.resumed_from)} from an earlier run" if result.resumed_from else ""
            unverified = "" if result.verified or result.sha256 else ", not verified"
            moved = ", unchanged" if result.skipped else f" in {seconds_text(seconds)}"
            line = f"{transfer.key}: {size_text(result.size)}{moved}{resumed}{unverified}"
            print(printable(line), flush=True)

    def tick(self) -> None:
        self.measure()
        now = self.clock()
        if now - self._printed >= _INTERVAL:
            self._printed = now
            print(self._line(now), file=sys.stderr, flush=True)

    def _line(self, now: float) -> str:
        total = self.total
        name = printable(next(iter(self.running)).key) if self.count == 1 and self.running else self.files()
        parts = [name, size_text(max(0, total.bytes))]  # negative for a moment, if a part is sent again
        if total.size is not None:
            # An object may have grown since it was listed.
            parts[-1] += f" of {size_text(max(total.size, total.bytes))}"
        if is_moving(total.phase) and total.rate and total.complete_since is None:
            parts.append(rate_text(1, 1 / total.rate))
            if total.left is not None:
                parts.append(f"{clock_text(total.left)} left")
        else:
            parts.append(status_of(total, now).text.strip())
        return ", ".join(filter(None, parts))
