"""Decides what of a bar and its figures fits into a line, so that none is ever broken."""

from typing import NamedTuple

__all__ = ["Layout", "Widths", "lay_out"]

_BAR = 20  # columns,
_LONG_BAR = 40  # and this many if there is room for everything
_SHORT_BAR = 8
_NAME = 12  # columns of a name that is cut on the left: enough to tell most files


class Widths(NamedTuple):
    """How many columns each thing takes that can be in a line: the most of all lines.

    Attributes:
        name: The whole name.
        sizes: How much is there, and of how much.
        status: The rate and the time left, or the phase.
        short: The same without the rate.
        note: What is resumed.
    """

    name: int
    sizes: int
    status: int
    short: int
    note: int


class Layout(NamedTuple):
    """How many columns each thing gets; 0 for what is left out. One column separates two of them.

    Attributes:
        is_short: The status is the short one.
    """

    name: int
    bar: int
    sizes: int
    status: int
    note: int
    is_short: bool = False


def lay_out(widths: Widths, columns: int) -> Layout:
    """Return what fits.

    What goes first: half of the bar, the beginning of the name, what is resumed, most of the bar, the bar, the rate,
    the sizes. What stays is the end of the name, and the time left or the phase.

    Args:
        widths: What there is.
        columns: The width of the terminal.
    """
    name, sizes, status, short, note = widths
    least = min(name, _NAME)
    forms = [
        Layout(name, _LONG_BAR, sizes, status, note),
        Layout(name, _BAR, sizes, status, note),
        Layout(least, _BAR, sizes, status, note),
        Layout(least, _BAR, sizes, status, 0),
        Layout(least, _SHORT_BAR, sizes, status, 0),
        Layout(least, 0, sizes, status, 0),
        Layout(least, 0, sizes, short, 0, True),
        Layout(least, 0, 0, short, 0, True),
    ]
    form = next((form for form in forms if _columns(form) <= columns), Layout(1, 0, 0, short, 0, True))
    return form._replace(name=max(0, min(name, form.name + columns - _columns(form))))


def _columns(form: Layout) -> int:
    shown = [width for width in form[:5] if width]
    return sum(shown) + len(shown) - 1
