"""Runs a command, or a shell to type into, in an empty directory beside a store of its own.

There are a bucket `models`, its keys in `cdn.yaml`, `cdn-manager` on the PATH, and a model of twelve files in `model/`.
The store, the directory and all that was made in it go with the command.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from local_store import READER, WRITER, LocalStore, model_file

BUCKET = "models"
WELCOME = """\
A store at {url} has the bucket 'models'; cdn.yaml here has its keys, and model/ is a model to publish.
Leave this shell (exit), and all of it is gone.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, metavar="PATH", help="a directory, or a file in place of the weights")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="default: your shell")
    options = parser.parse_args()
    model = (options.model or model_file().parent).resolve(strict=True)
    with tempfile.TemporaryDirectory(prefix="cdn-manager-shell-") as folder, LocalStore() as store:
        store.create_bucket(BUCKET)
        furnish(Path(folder), store.url, model)
        if not options.command:
            print(WELCOME.format(url=store.url), end="", flush=True)
        return run(options.command or [os.environ.get("SHELL", "sh")], folder)


def furnish(folder, url, model):
    """Put the model and the configuration into the directory."""
    if model.is_dir():
        shutil.copytree(model, folder / "model", ignore=shutil.ignore_patterns(".*"))
    else:
        weights = model_file()
        shutil.copytree(weights.parent, folder / "model", ignore=shutil.ignore_patterns(".*", weights.name))
        shutil.copy(model, folder / "model")
    lines = [f"host: {url}"]
    for role, (key, secret) in (("downloader", READER), ("uploader", WRITER)):
        lines += [f"{role}_access_key: {key}", f"{role}_access_secret: {secret}"]
    configuration = folder / "cdn.yaml"
    configuration.touch(mode=0o600)
    configuration.write_text("\n".join([*lines, ""]), encoding="utf-8")


def run(command, folder):
    """Run the command in the directory. Return its exit status."""
    for name in ("SIGINT", "SIGHUP"):  # they are for the command, which gets them too; what it leaves is removed then
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CDN_")}
    environment["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), environment.get("PATH", os.defpath)])
    environment["XDG_STATE_HOME"] = str(Path(folder, ".state"))
    status = subprocess.run(command, cwd=folder, env=environment).returncode
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
