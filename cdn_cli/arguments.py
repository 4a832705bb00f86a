"""Puts the options of a command line before its other arguments, so that they may stand anywhere (cpython#59317)."""

import re
from collections.abc import Collection, Sequence

__all__ = ["options_first"]

# What argparse takes for an option, whether it is known or not: not "-", not a number, not a text with a space.
_OPTION = re.compile(r"-(?!\.?\d)[^ =]+(=.*)?", re.DOTALL)


def options_first(arguments: Sequence[str], valued: Collection[str]) -> list[str]:
    """Return the command line that argparse understands on every version of Python.

    Args:
        arguments: The command line without the program's name.
        valued: The options that take a value.

    Returns:
        The command, the options in their order, ``--``, and the rest; unchanged without a command.
    """
    options: list[str] = []
    others: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            others += left
            break
        if not _OPTION.fullmatch(argument):
            others.append(argument)
            continue
        options.append(argument)
        if argument in valued and left and left[0] != "--":
            options.append(left.pop(0))
    if not others:
        return list(arguments)
    return [others[0], *options, "--", *others[1:]]
