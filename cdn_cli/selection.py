"""Decides which files below a directory, or objects below a prefix, a command is about."""

import functools
from collections.abc import Callable, Sequence

from cdn_cli.console import UsageError

__all__ = ["Selection"]


class Selection:
    """What ``--include``, ``--exclude`` and ``--hidden`` say.

    A path is taken if it matches one of ``include``, or there is none, and is not excluded. Patterns are those of
    gitignore. One that begins with ``!`` takes back what an earlier one says, here also below excluded directories.

    Args:
        include: Patterns.
        exclude: Patterns.
        hidden: Take what has a name that begins with a dot.

    Raises:
        UsageError: A pattern is not valid.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = (), hidden: bool = True) -> None:
        self._includes = _matcher("--include", include) if include else lambda _: True
        self._excludes = _matcher("--exclude", exclude) if exclude else lambda _: False
        self._prunes = not any(pattern.startswith("!") for pattern in exclude)
        self._hidden = hidden
        self._enters = functools.lru_cache(1024)(self._enter)

    def is_hidden(self, name: str) -> bool:
        """Return True if a file or directory of this name is left out because it is hidden."""
        return not self._hidden and name.startswith(".")

    def enters(self, directory: str) -> bool:
        """Return True if something below a directory may be taken.

        Args:
            directory: Its path, with ``/`` between names and none at the end.
        """
        return self._enters(directory)

    def _enter(self, directory: str) -> bool:
        parent, _, name = directory.rpartition("/")
        if self.is_hidden(name) or (self._prunes and self._excludes(f"{directory}/")):
            return False
        return not parent or self._enters(parent)

    def takes(self, path: str) -> bool:
        """Return True if a file or an object is meant.

        Args:
            path: Its path below the directory or the prefix, with ``/`` between names.
        """
        parent, _, name = path.rpartition("/")
        if self.is_hidden(name) or self._excludes(path) or not self._includes(path):
            return False
        return not parent or self._enters(parent)


def _matcher(option: str, patterns: Sequence[str]) -> Callable[[str], bool]:
    from pathspec import GitIgnoreSpec  # only if it is needed: it takes as long to import as a small transfer

    try:
        match: Callable[[str], bool] = GitIgnoreSpec.from_lines(patterns).match_file
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    return match
