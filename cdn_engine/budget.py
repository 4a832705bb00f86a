"""One budget of connections for all transfers of a process.

Each transfer always has one, so that none ever waits for another: a callback may start a transfer. What the budget has
beyond that is shared max-min fairly: nobody gets more than it wants, and what it leaves goes to the others.
"""

import os
from collections.abc import Sequence

__all__ = ["CONNECTIONS", "Budget", "Share", "allot", "enter"]

# Browsers use 6 per host, aws-cli 10, s5cmd 5 per object: a store or a router at home bears 16, and on a link where
# each connection is slow there is little left to gain beyond them.
CONNECTIONS = 16


def allot(wanted: Sequence[int], connections: int = CONNECTIONS) -> list[int]:
    """Share connections max-min fairly.

    Args:
        wanted: How many each transfer can use, at least 1, in the order in which they came.
        connections: How many there are; or as many as there are transfers, if that is more.

    Returns:
        How many each gets, at least 1. What cannot be divided evenly goes to the latest.
    """
    count = len(wanted)
    left = max(connections, count)
    for most in sorted(wanted):
        if most > left // count:
            break  # and so do all that follow: they share what is left
        left -= most
        count -= 1
    else:
        return list(wanted)
    level, remainder = divmod(left, count)
    allotted = [min(most, level) for most in wanted]
    unsatisfied = [index for index, most in enumerate(wanted) if most > level]
    for index in unsatisfied[count - remainder:]:
        allotted[index] += 1
    return allotted


class Budget:
    """A number of connections that transfers share.

    Thread-safety: safe without a lock, which a fork, or Ctrl-C in the middle of it, could leave locked. A change counts
    from the next ``ask`` of each transfer on.
    """

    def __init__(self) -> None:
        self._wanted: dict[Share, int] = {}  # in the order in which they came; each operation on it is atomic
        self._changed = object()  # another one after each change
        self._allotted: tuple[object, dict[Share, int]] = (None, {})  # and the ``_changed`` that it was made after

    def enter(self) -> "Share":
        """Return the share of one transfer. It counts from its first ``ask`` on, and has to be left then."""
        return Share(self)

    def ask(self, share: "Share", wanted: int) -> int:
        """Return how many connections a share may use, and take note of how many it can."""
        if self._wanted.get(share) != wanted:
            self._wanted[share] = wanted
            self._changed = object()  # after the change itself: who sees this sees that
        if wanted == 1:
            return 1
        changed, (made_after, allotted) = self._changed, self._allotted
        if made_after is not changed:
            wanted_by = self._wanted.copy()
            allotted = dict(zip(wanted_by, allot(list(wanted_by.values())), strict=True))
            self._allotted = (changed, allotted)
        return allotted.get(share, 1)

    def leave(self, share: "Share") -> None:
        """Give a share's connections to the others."""
        self._wanted.pop(share, None)
        self._changed = object()


class Share:
    """What one transfer has of a budget.

    Thread-safety: for one thread at a time.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def ask(self, wanted: int) -> int:
        """Return how many connections the transfer may use now. Cheap enough to be called 20 times a second.

        Args:
            wanted: How many it could use; less than 1 counts as 1.
        """
        return self._budget.ask(self, max(1, wanted))

    def leave(self) -> None:
        """Give the connections to the others. May be called twice, and without an ``ask``."""
        self._budget.leave(self)


_budget = Budget()  # of this process


def enter() -> Share:
    """Return the share of one transfer in the budget of this process."""
    return _budget.enter()


def _begin_anew() -> None:
    """Forget the parent's transfers, whose threads do not exist in the child."""
    global _budget
    _budget = Budget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
