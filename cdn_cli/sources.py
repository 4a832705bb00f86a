"""Finds the files of an upload, and everything that speaks against uploading them."""

import os
import stat
from collections.abc import Iterator

from cdn_cli.console import UsageError, complain
from cdn_cli.keys import directories
from cdn_cli.selection import Selection
from cdn_cli.transfer import Transfer
from cdn_engine.errors import explain
from cdn_engine.paths import RESERVED_PREFIX, objection_to_key

__all__ = ["Walk", "find_files"]


class Walk:
    """A walk through files and directories.

    Args:
        selection: What is taken of a directory. What is given by name always is.
        quiet: Do not mention what is left out.

    Attributes:
        problems: Why some could not be looked at.
    """

    def __init__(self, selection: Selection, quiet: bool) -> None:
        self._selection = selection
        self._quiet = quiet
        self._hidden: list[str] = []
        self.problems: list[str] = []

    def files(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the relative path, with ``/`` between names, and the path of a file, or of each below a directory.

        Unfinished downloads and links to directories are left out.
        """
        if not os.path.isdir(path):
            name = os.path.basename(os.path.normpath(path))
            if not name.startswith(RESERVED_PREFIX):
                yield name, path
            return
        for parent, folders, names in os.walk(path, onerror=lambda error: self.problems.append(explain(error))):
            below = os.path.relpath(parent, path).replace(os.sep, "/")
            relative = "" if below == os.curdir else f"{below}/"
            folders[:] = [name for name in sorted(folders) if self._enters(relative, parent, name)]
            for name in sorted(names):
                if not name.startswith(RESERVED_PREFIX) and self._takes(relative, parent, name):
                    yield relative + name, os.path.join(parent, name)

    def tell(self) -> None:
        """Say what was left out because it is hidden."""
        if self._hidden and not self._quiet:
            more = f" and {len(self._hidden) - 1} more" if len(self._hidden) > 1 else ""
            complain(f"hidden, and left out without --hidden: {self._hidden[0]!r}{more}")

    def _enters(self, relative: str, parent: str, name: str) -> bool:
        path = os.path.join(parent, name)
        if self._is_hidden(name, path) or not self._selection.enters(relative + name):
            return False
        is_link = os.path.islink(path)
        if is_link and not self._quiet:
            complain(f"{path!r} is a link to a directory: skipped")
        return not is_link

    def _takes(self, relative: str, parent: str, name: str) -> bool:
        return not self._is_hidden(name, os.path.join(parent, name)) and self._selection.takes(relative + name)

    def _is_hidden(self, name: str, path: str) -> bool:
        is_hidden = self._selection.is_hidden(name)
        if is_hidden:
            self._hidden.append(path)
        return is_hidden


def find_files(
    paths: list[str], prefix: str, config: str | None, selection: Selection, quiet: bool, key: str | None = None
) -> list[Transfer]:
    """Return the files to upload, with the keys that they will have.

    Args:
        paths: Files and directories.
        prefix: Precedes each key.
        config: The file with the credentials; None without one.
        selection: What is taken of a directory.
        quiet: Do not mention what is left out.
        key: The key of the one file, in place of its name; None for the name.

    Raises:
        UsageError: Some must not or cannot be uploaded, all of which it names; or there are none.
    """
    transfers: dict[str, Transfer] = {}
    walk = Walk(selection, quiet)
    problems = walk.problems
    secret = os.stat(config) if config is not None and os.path.exists(config) else None
    for path in paths:
        for relative, file in walk.files(path):
            try:
                status = os.stat(file)
            except OSError as error:
                problems.append(explain(error))
                continue
            transfer = Transfer(prefix + (key or relative), file, status.st_size)
            problem = _objection(transfer, status, secret) or _collision(transfer, transfers)
            if problem is None:
                transfers[transfer.key] = transfer
            else:
                problems.append(problem)
    walk.tell()
    for one, below in directories(transfers).items():
        pair = f"{transfers[one].path!r} and {transfers[below].path!r}"
        problems.append(f"{pair} would become {one!r} and {below!r}, which cannot both be files")
    if problems:
        raise UsageError(*problems, "nothing was uploaded")
    if not transfers:
        raise UsageError("nothing to upload: there is no file in the directories given, or none that is meant")
    return list(transfers.values())


def _objection(transfer: Transfer, status: os.stat_result, secret: os.stat_result | None) -> str | None:
    """Return why a file must not or cannot be uploaded; None if it can.

    Args:
        transfer: The file.
        status: Its status.
        secret: The status of the configuration file, None if there is none.
    """
    path = transfer.path
    if secret is not None and os.path.samestat(status, secret):
        return f"{path!r} is the configuration file in use: this would publish the credentials"
    if not stat.S_ISREG(status.st_mode):
        return f"{path!r} is neither a file nor a directory"
    if problem := objection_to_key(transfer.key):
        return f"{path!r}: rename the file, or change --prefix: no machine could download {transfer.key!r}: {problem}"
    return None if os.access(path, os.R_OK) else f"{path!r} cannot be read: permission denied"


def _collision(transfer: Transfer, others: dict[str, Transfer]) -> str | None:
    other = others.get(transfer.key)
    if other is None or os.path.abspath(other.path) == os.path.abspath(transfer.path):
        return None
    return f"{other.path!r} and {transfer.path!r} would both become the object {transfer.key!r}"
