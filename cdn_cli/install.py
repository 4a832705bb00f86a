"""The command ``install``."""

import os
from argparse import Namespace
from typing import Any

from cdn_cli.batch import Progress
from cdn_cli.changes import changes_text
from cdn_cli.configuration import manager_of, read_configuration
from cdn_cli.console import UsageError, size_text
from cdn_cli.direction import INSTALL
from cdn_cli.one_release import moved_text, run_release
from cdn_cli.release_name import check_release_name
from cdn_release import Installed, install

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Install a release. Return the exit status."""
    check_release_name(options.name)
    configuration = read_configuration(options)
    with manager_of(configuration) as manager:
        if manager.download_client is None:
            raise UsageError("the credentials have no downloader_access_key: this machine cannot install")

        def move(progress: Progress) -> Installed:
            return install(
                manager, options.bucket, options.name, options.into, prefix=options.prefix, sha256=options.sha256,
                public_key=configuration.release_public_key, jobs=options.jobs, progress=progress,
            )  # fmt: skip

        return run_release(move, options, os.path.join(options.into, options.name), INSTALL, _text)


def _text(done: Installed, summary: dict[str, Any]) -> str:
    if done.skipped:
        text = f"{done.name} is installed already"
    else:
        linked = f"{size_text(done.linked)} here before" if done.linked else ""
        text = moved_text(done, ("installed", "fetched"), linked, summary)
    return text if done.changes is None else f"{text}; {changes_text(done.changes)}"
