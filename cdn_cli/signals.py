"""Has other signals end a command as Ctrl-C does."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

__all__ = ["signals_as_interrupts"]


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Have SIGTERM and SIGHUP do what Ctrl-C does, unless the parent process ignores them (nohup)."""

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
