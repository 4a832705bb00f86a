"""The command ``publish``."""

import os
from argparse import Namespace
from typing import Any

from cdn_cli.batch import Progress
from cdn_cli.configuration import open_manager
from cdn_cli.console import UsageError, files_text, size_text
from cdn_cli.direction import PUBLISH
from cdn_cli.one_release import moved_text, run_release
from cdn_cli.release_name import check_release_name
from cdn_config.configuration import configuration_path
from cdn_release import Published, publish

__all__ = ["run"]


def run(options: Namespace) -> int:
    """Publish a directory as a release. Return the exit status."""
    directory = options.directory
    check_release_name(options.name)
    if not os.path.isdir(directory):
        raise UsageError(f"{directory!r} is not a directory")
    if options.sign is not None and not os.path.exists(options.sign):  # a pipe will do
        raise UsageError(f"there is no file {options.sign!r}")
    _refuse_secrets(directory, {
        configuration_path(options.config): "is the configuration file in use: this would publish the credentials",
        options.sign: "is the key of --sign: this would publish it",
    })  # fmt: skip
    with open_manager(options) as manager:
        if manager.upload_client is None:
            raise UsageError("the credentials have no uploader_access_key: this machine cannot publish")

        def move(progress: Progress) -> Published:
            return publish(
                manager, options.bucket, directory, options.name, prefix=options.prefix, signing_key=options.sign,
                jobs=options.jobs, progress=progress,
            )  # fmt: skip

        return run_release(move, options, directory, PUBLISH, _text)


def _refuse_secrets(directory: str, objections: dict[str | None, str]) -> None:
    """Refuse a directory that has a secret in it, under whatever name.

    Args:
        directory: The directory.
        objections: Why each file must not be published; those that do not exist are not looked for.

    Raises:
        UsageError: It has one.
    """
    secrets = [(os.stat(path), text) for path, text in objections.items() if path is not None and os.path.exists(path)]
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            for secret, text in secrets:
                if os.path.exists(path) and os.path.samestat(os.stat(path), secret):
                    raise UsageError(f"{path!r} {text}", "nothing was published")


def _text(done: Published, summary: dict[str, Any]) -> str:
    if done.skipped:
        text = f"{done.name} is published already: {files_text(done.files)}, {size_text(done.size)}"
    else:
        there = done.size - done.transferred - done.resumed_from  # bytes may have been sent twice
        stored = f"{size_text(there)} stored before" if there > 0 else ""
        text = moved_text(done, ("published", "sent"), stored, summary)
    return f"{text}\nsha256 {done.sha256}"
