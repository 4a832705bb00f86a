"""Finds the files of an upload, and everything that speaks against uploading them."""

import os
import stat
from collections.abc import Iterator

from cdn_cli.console import UsageError, complain
from cdn_cli.keys import directories
from cdn_cli.transfer import Transfer
from cdn_engine.errors import explain
from cdn_engine.paths import RESERVED_PREFIX, objection_to_key

__all__ = ["find_files"]


def find_files(paths: list[str], prefix: str, config: str, quiet: bool) -> list[Transfer]:
    """Return the files to upload, with the keys that they will have.

    Args:
        paths: Files and directories.
        prefix: Precedes each key.
        config: The file with the credentials.
        quiet: Do not mention the links to directories that are left out.

    Raises:
        UsageError: Some must not or cannot be uploaded, all of which it names; or there are none.
    """
    transfers: dict[str, Transfer] = {}
    problems: list[str] = []
    secret = os.stat(config) if os.path.exists(config) else None
    for path in paths:
        for relative, file in _walk(path, quiet, problems):
            if os.path.basename(file).startswith(RESERVED_PREFIX):
                continue  # an unfinished download
            try:
                status = os.stat(file)
            except OSError as error:
                problems.append(explain(error))
                continue
            transfer = Transfer(prefix + relative.replace(os.sep, "/"), file, status.st_size)
            problem = _objection(transfer, status, secret) or _collision(transfer, transfers)
            if problem is None:
                transfers[transfer.key] = transfer
            else:
                problems.append(problem)
    for key, below in directories(transfers).items():
        pair = f"{transfers[key].path!r} and {transfers[below].path!r}"
        problems.append(f"{pair} would become {key!r} and {below!r}, which cannot both be files")
    if problems:
        raise UsageError(*problems, "nothing was uploaded")
    if not transfers:
        raise UsageError("nothing to upload: there is no file in the directories given")
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


def _walk(path: str, quiet: bool, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the relative path and the path of a file, or of each file below a directory."""
    if not os.path.isdir(path):
        yield os.path.basename(os.path.normpath(path)), path
        return
    for parent, folders, names in os.walk(path, onerror=lambda error: problems.append(explain(error))):
        folders.sort()
        below = os.path.relpath(parent, path)
        for folder in folders:
            link = os.path.join(parent, folder)
            if os.path.islink(link) and not quiet:
                complain(f"{link!r} is a link to a directory: skipped")
        for name in sorted(names):
            yield name if below == os.curdir else os.path.join(below, name), os.path.join(parent, name)
