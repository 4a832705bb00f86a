"""docs/cython.md typed word for word: its files and commands, in an empty environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cython.md").read_text(encoding="utf-8")
PYTHON3 = Path(sys.executable).parent  # the python3 of the page is the one that runs the tests
WHEELHOUSE = ROOT / "build" / "wheelhouse"  # the wheel and all that its consumers need; tests/support/matrix.py


def file_of_the_page(name):
    """Return the content of a file that the page tells its reader to create."""
    match = re.search(rf"^`{re.escape(name)}`[^\n]*\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert match is not None, name
    return match[1]


@pytest.fixture
def home(tmp_path):
    """A home directory with a checkout whose wheel is built, and the reader's own folder with the files of the page."""
    (tmp_path / "publisher").mkdir()
    for name in ("publisher.pyx", "setup.py", "pyproject.toml"):
        (tmp_path / "publisher" / name).write_text(file_of_the_page(name))
    (tmp_path / "cdn-manager" / "build").mkdir(parents=True)
    shutil.copytree(ROOT / "build" / "wheel", tmp_path / "cdn-manager" / "build" / "wheel")
    return tmp_path


def test_commands_of_the_page_build_a_consumer_that_imports(home):
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    # What an index would give comes from a local folder: the test asks nothing outside of this machine.
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELHOUSE), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    index["PIP_COMPILE"] = "0"  # of what is installed little is imported
    reader = {"HOME": str(home), "CFLAGS": "-O0", "PATH": f"{PYTHON3}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=home / "publisher",
        env={**os.environ, **index, **reader},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.rstrip().splitlines()[-1].startswith("<cyfunction publish ")
