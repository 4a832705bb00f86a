"""Chooses how to show the progress of a batch."""

import sys
from collections.abc import Sequence

from cdn_cli.console import Output
from cdn_cli.lines import LinesDisplay
from cdn_cli.progress import Display, JsonDisplay
from cdn_cli.transfer import Transfer

__all__ = ["choose"]


def choose(output: Output, bucket: str, transfers: Sequence[Transfer]) -> Display:
    """Return the display that fits the options and the terminal, a context manager.

    Args:
        output: How much to write, and in which form.
        bucket: The bucket.
        transfers: All transfers of the batch.
    """
    if output.json:
        return JsonDisplay(bucket, transfers, output.quiet)
    if output.quiet:
        return Display(bucket)
    if sys.stderr.isatty():
        try:
            from rich.console import Console

            from cdn_cli.bars import BarsDisplay
        except ImportError:
            pass  # rich is optional
        else:
            console = Console(stderr=True, soft_wrap=True)  # a message above the bars stays one line
            if not console.is_dumb_terminal:  # one that cannot move its cursor
                return BarsDisplay(bucket, transfers, output.verbose, console)
    return LinesDisplay(bucket, transfers, output.verbose)
