"""What one test of the check has found."""

from typing import NamedTuple

__all__ = ["Finding"]


class Finding(NamedTuple):
    """What one test has found.

    Attributes:
        name: What was tested.
        state: ``ok``, ``failed``, or ``skipped`` if it could not be tested.
        text: What was observed.
        advice: What to do about it, or empty.
    """

    name: str
    state: str
    text: str
    advice: str = ""
