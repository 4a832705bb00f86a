"""The C interface keeps its promise: a consumer compiled against 0.1.0 works with the installed modules."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cdn_manager

REFERENCE = Path(__file__).parent.parent / "abi"
INSTALLED = Path(cdn_manager.__file__).parent
PXD_FILES = ["cdn_manager.pxd", "constants.pxd"]

RUN_CONSUMER = """
import logging, sys
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
logging.getLogger("cdn_manager").setLevel(logging.INFO)

import consumer
from cdn_manager import CDNCredentials, CDNManager

creds = CDNCredentials(sys.argv[1], "reader", "reader-secret", "writer", "writer-secret", "us-east-1")
manager = CDNManager(creds, transfer_config=None, deadline=60)
found = consumer.attributes(manager)
print(consumer.credentials(creds))
print((found[0] is creds, found[1] is manager.download_client, found[2] is manager.upload_client, *found[3:]))
print(consumer.transfer(manager, sys.argv[2]))
consumer.write_log()
"""


def declarations(pxd):
    """Return what a .pxd declares, in order: the attributes and methods of each cdef class, and the functions."""
    found = {}
    owner = "module"
    for line in pxd.splitlines():
        declaration = " ".join(line.partition("#")[0].split())
        if not declaration:
            continue
        if declaration.startswith("cdef class "):
            owner = declaration
        elif not line[0].isspace():
            owner = "module"
        if declaration != owner:
            kind = "methods" if "(" in declaration else "attributes"
            found.setdefault((owner, kind), []).append(declaration)
    return found


def broken(old, new):
    """Return the parts of ``old`` that ``new`` does not start with."""
    now = declarations(new)
    return [part for part, members in declarations(old).items() if now.get(part, [])[: len(members)] != members]


@pytest.mark.portable
@pytest.mark.parametrize("name", PXD_FILES)
def test_interface_starts_with_the_one_of_the_first_release(name):
    assert broken((REFERENCE / name).read_text(), (INSTALLED / name).read_text()) == []


METHOD = "    cdef bint upload(self, str bucket, str filename, bytes file_bytes) except -1\n"
LAST_METHOD = "    cpdef bint download_file(self, str folder, str filename) except -1\n"
ATTRIBUTE = "    cdef readonly CDNCredentials creds          # stored credentials\n"
LAST_ATTRIBUTE = "    cdef object deadline                        # seconds for one transfer in all, or None\n"


@pytest.mark.portable
@pytest.mark.parametrize(
    ("line", "instead"),
    [
        (METHOD, f"    cdef int new(self)\n{METHOD}"),
        (METHOD, ""),
        (METHOD, METHOD.replace("bytes file_bytes", "file_bytes")),
        (METHOD + "    cdef", "    cdef"),
        (LAST_METHOD, f"    cdef int new(self)\n{LAST_METHOD}"),
        (ATTRIBUTE, f"    cdef object new\n{ATTRIBUTE}"),
        (ATTRIBUTE, ""),
        ("cdef class CDNManager:", "cdef class CDNManager(Base):"),
    ],
    ids=[
        "method-inserted", "method-removed", "argument-type-changed", "first-method-removed", "last-method-preceded",
        "attribute-inserted", "attribute-removed", "base-class-added",
    ],
)
def test_check_finds_changes_that_break_consumers(line, instead):
    old = (REFERENCE / "cdn_manager.pxd").read_text()
    assert line in old
    assert broken(old, old.replace(line, instead))


@pytest.mark.portable
@pytest.mark.parametrize("line", [LAST_METHOD, LAST_ATTRIBUTE], ids=["method", "attribute"])
def test_check_allows_members_to_be_appended(line):
    old = (REFERENCE / "cdn_manager.pxd").read_text()
    assert line in old
    assert broken(old, old.replace(line, f"{line}    cdef object new{'(self)' * (line is LAST_METHOD)}\n")) == []


@pytest.fixture(scope="module")
def old_consumer(tmp_path_factory):
    """The folder of a consumer compiled against the .pxd files of the first release."""
    folder = shutil.copytree(REFERENCE, tmp_path_factory.mktemp("abi") / "consumer")
    subprocess.run(
        [sys.executable, "-m", "Cython.Build.Cythonize", "-iq", "consumer.pyx"],
        cwd=folder, env={**os.environ, "CFLAGS": "-O0"}, check=True,
    )  # fmt: skip
    for name in PXD_FILES:
        (folder / name).unlink()
    return folder


@pytest.mark.portable
def test_consumer_of_the_first_release_works_with_the_installed_modules(old_consumer, moto_url, moto_bucket):
    answer = subprocess.run(
        [sys.executable, "-c", RUN_CONSUMER, moto_url, moto_bucket],
        cwd=old_consumer, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    creds, attributes, transfers, *logged = answer.stdout.splitlines()
    assert ast.literal_eval(creds) == (moto_url, "reader", "reader-secret", "writer", "writer-secret", "us-east-1")
    assert ast.literal_eval(attributes) == (True, True, True, None, 60)
    assert ast.literal_eval(transfers) == ((True, True), (True, True), ["upload", "upload_bytes"])
    assert logged[-2:] == ["INFO by log", "ERROR by logerror"]
