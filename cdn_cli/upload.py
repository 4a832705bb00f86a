"""The command ``upload``."""

import os
from argparse import Namespace
from collections.abc import Iterator

from cdn_cli.batch import Batch, Progress
from cdn_cli.configuration import config_path, open_manager
from cdn_cli.console import Output, UsageError, complain
from cdn_cli.displays import choose
from cdn_cli.summary import run_and_report
from cdn_cli.transfer import Transfer
from cdn_engine.paths import RESERVED_PREFIX, path_below
from cdn_manager import TransferResult, UnsafePathError

__all__ = ["run"]

# Stands for the folder of a download on another machine. It does not exist here, so that links on this machine do not
# matter to the check of a key.
_EDGE_FOLDER = "the folder of a download"


def run(options: Namespace) -> int:
    """Upload files and directories. Return the exit status."""
    config = config_path(options.config)
    output = Output(options.json, options.quiet, options.verbose)
    files = _files_by_key(options.paths, options.prefix, config, options.quiet)
    transfers = [Transfer(key, path, _size(path)) for key, path in files.items()]
    with open_manager(config, options.jobs, options.quiet) as manager:
        if manager.upload_client is None:
            raise UsageError("the credentials have no uploader_access_key: this machine cannot upload")

        def move(transfer: Transfer, progress: Progress) -> TransferResult:
            if os.path.exists(transfer.path) and not os.path.isfile(transfer.path):
                raise ValueError(f"{transfer.path!r} is neither a file nor a directory")
            return manager.store(
                options.bucket, transfer.key, transfer.path, progress, overwrite=not options.no_overwrite
            )

        batch = Batch(move, transfers, options.jobs, choose(output, options.bucket, transfers))
        advice = "the rest was not stored: run the command again"
        return run_and_report(batch, options.bucket, output, "uploaded", advice)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None  # the upload itself will say why


def _files_by_key(paths: list[str], prefix: str, config: str, quiet: bool) -> dict[str, str]:
    """Return the local files by the keys that they will have.

    Raises:
        UsageError: One of them must not be uploaded, or there are none.
    """
    files: dict[str, str] = {}
    for path in paths:
        for relative, file in _walk(path, quiet):
            if os.path.basename(file).startswith(RESERVED_PREFIX):
                continue  # an unfinished download
            if _is_same(file, config):
                raise UsageError(f"{file!r} is the configuration file in use: this would publish the credentials")
            key = prefix + relative.replace(os.sep, "/")
            try:
                path_below(_EDGE_FOLDER, key)
            except UnsafePathError as error:
                raise UsageError(f"{file!r}: rename the file, or change --prefix: {error}") from error
            if files.setdefault(key, file) != file:
                raise UsageError(f"{files[key]!r} and {file!r} would both become the object {key!r}")
    if not files:
        raise UsageError("nothing to upload: there is no file in the directories given")
    return files


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _walk(path: str, quiet: bool) -> Iterator[tuple[str, str]]:
    """Yield the relative path and the path of a file, or of each file below a directory."""
    if not os.path.isdir(path):
        yield os.path.basename(os.path.normpath(path)), path
        return

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(path, onerror=fail):
        folders.sort()
        for folder in folders:
            link = os.path.join(parent, folder)
            if os.path.islink(link) and not quiet:
                complain(f"{link!r} is a link to a directory: skipped")
        for name in sorted(names):
            file = os.path.join(parent, name)
            yield os.path.relpath(file, path), file
