"""Runs the command `cdn-manager` and prepares its working directory."""

import contextlib
import io
import re
import shutil
import sysconfig
from pathlib import Path

from local_store import READER, WRITER

from cdn_cli import main

PROGRAM = shutil.which("cdn-manager", path=sysconfig.get_path("scripts"))


def run(*arguments):
    """Run the command in this process; return its exit status."""
    try:
        return main(list(arguments))
    except SystemExit as error:  # how argparse exits
        return error.code


def command_names():
    """Return the names of all commands, in the order of the help."""
    with contextlib.redirect_stderr(io.StringIO()) as text:
        assert run("nonsense") == 2
    return re.findall(r"\w+", text.getvalue().partition("choose from")[2])


def write_config(url, reader=READER, writer=WRITER):
    """Write a `cdn.yaml` into the working directory, without the key pairs that are None."""
    lines = [f"host: {url}"]
    for role, pair in (("downloader", reader), ("uploader", writer)):
        if pair:
            lines += [f"{role}_access_key: {pair[0]}", f"{role}_access_secret: {pair[1]}"]
    path = Path("cdn.yaml")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines), encoding="utf-8")


def write_files(folder, **contents):
    """Write files below a folder; `__` in a name separates directories."""
    for name, content in contents.items():
        path = Path(folder, name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def publish_files(bucket, name, **contents):
    """Publish a release of these files, which are written below a folder of its name."""
    write_files(name, **contents)
    assert run("publish", bucket, name, name, "--quiet") == 0
