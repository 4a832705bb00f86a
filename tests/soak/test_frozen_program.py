"""A program frozen with PyInstaller starts: the wheel brings the hook that declares what PyInstaller cannot see."""

import subprocess
import sys

import pytest
from local_store import READER, WRITER

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

PROGRAM = """
import sys
from cdn_manager import CDNCredentials, CDNManager

with CDNManager(CDNCredentials(sys.argv[1], *sys.argv[2:6])) as manager:
    manager.store(sys.argv[6], "key", b"payload")
    print(manager.fetch(sys.argv[6], "key").verified)
"""

COMMAND = """
import sys
from cdn_cli import main

sys.exit(main())
"""


@pytest.fixture
def freeze(folder):
    """A function that freezes a program and returns the executable."""
    pytest.importorskip("PyInstaller", reason="pip install pyinstaller")

    def run(name, source):
        (folder / f"{name}.py").write_text(source)
        command = [sys.executable, "-P", "-m", "PyInstaller", "--noconfirm", "--onedir", f"{name}.py"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return folder / "dist" / name / name

    return run


def test_frozen_program_uploads_and_downloads(freeze, store, bucket, folder, record_property):
    program = freeze("program", PROGRAM)
    ran = subprocess.run([program, store.url, *READER, *WRITER, bucket], cwd=folder, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "True\n"), ran.stderr
    record_property("frozen: program with cdn_manager", "uploads, downloads, verifies")


def test_frozen_command_shows_its_version_and_checks_a_store(freeze, store, bucket, folder, record_property):
    command = freeze("command", COMMAND)
    assert subprocess.run([command, "--version"], cwd=folder).returncode == 0
    (folder / "cdn.yaml").touch(mode=0o600)
    (folder / "cdn.yaml").write_text(
        f"host: {store.url}\n"
        f"downloader_access_key: {READER[0]}\ndownloader_access_secret: {READER[1]}\n"
        f"uploader_access_key: {WRITER[0]}\nuploader_access_secret: {WRITER[1]}\n"
    )
    ran = subprocess.run([command, "check", bucket], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    record_property("frozen: cdn-manager check", "all ok")
