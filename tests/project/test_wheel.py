"""What the wheel puts on a machine: the modules with their C interface, the packages, and real signatures."""

import importlib.metadata
import inspect
import pydoc
import re
import subprocess
import sys

import pytest
from check_wheel import MANUAL, complaints
from command import command_names

import cdn_manager
from cdn_cli.parser import build_parser

pytestmark = pytest.mark.portable


def installed_files():
    """Return what the wheel has installed; the bytecode and the scripts that pip makes are not its own."""
    names = {name.as_posix() for name in importlib.metadata.files("cdn-manager") if name.suffix != ".pyc"}
    return {re.sub(f"^(../)+{MANUAL}$", MANUAL, name) for name in names if MANUAL in name or not name.startswith("..")}


def test_wheel_installs_what_it_must_and_nothing_stray():
    assert complaints(installed_files()) == []


def test_wheel_adds_two_modules_and_four_packages_to_site_packages():
    names = installed_files() - {MANUAL}
    top = {name.split("/")[0].split(".")[0] for name in names if ".dist-info/" not in name}
    assert top == {"cdn_manager", "constants", "cdn_cli", "cdn_config", "cdn_engine", "cdn_manager-stubs",
                   "cdn_release", "constants-stubs"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda names: names - {"cdn_manager.pxd"}, "cdn_manager.pxd is missing"),
        (lambda names: names - {"cdn_engine/py.typed"}, "cdn_engine/py.typed is missing"),
        (lambda names: names - {"cdn_manager.abi3.so"}, "cdn_manager.pyx is missing"),
        (lambda names: names - {"cdn_engine/_disk.abi3.so"}, "cdn_engine/_disk.pyx is missing"),
        (lambda names: names - {MANUAL}, f"{MANUAL} is missing"),
        (lambda names: names | {"setup.py"}, "setup.py is stray"),
        (lambda names: names | {"build/constants.c"}, "build/constants.c is stray"),
        (lambda names: {name for name in names if "LICENSE" not in name}, "the LICENSE is missing"),
    ],
)
def test_check_of_the_wheel_finds_what_is_wrong_with_it(change, complaint):
    names = {name.replace(".pyd", ".abi3.so") for name in installed_files()}
    assert complaints(change(names)) == [complaint]


def test_manual_page_has_every_command_and_the_options_of_all():
    files = importlib.metadata.files("cdn-manager")
    page = next(path for path in files if path.as_posix().endswith(MANUAL)).read_text()
    commands = command_names()
    assert "\n.SH COMMANDS\n" in page
    shown = page.partition("\n.SH OPTIONS\n")[2].replace("\\-", "-")
    options = set(re.findall(r"--[\w-]+", build_parser().format_help())) - {"--help", "--prefix", "--into"}
    assert options == set(re.findall(r"^\\fB(--[\w-]+)\\fR", shown, re.MULTILINE))
    assert re.findall(r"^\.SS .*cdn\\-manager ([a-z]+)", page, re.MULTILINE) == commands != []


def test_modules_import_from_any_directory(tmp_path):
    program = "from cdn_manager import CDNManager, CDNCredentials; from constants import log, logerror"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("CDNManager", "(credentials, config=None, transfer_config=None, deadline=None, refresh=None)"),
        ("CDNManager.store", "(self, bucket, filename, source, progress=None, overwrite=True, keep=True, sha256=None)"),
        ("CDNManager.fetch", "(self, folder, filename, path=None, progress=None, sha256=None)"),
        ("CDNManager.upload_bytes", "(self, bucket, filename, file_bytes)"),
        ("CDNManager.download_file", "(self, folder, filename)"),
        ("CDNManager.orphans", "(self, bucket, older_than=86400)"),
        (
            "CDNCredentials",
            "(host, downloader_access_key=None, downloader_access_secret=None, uploader_access_key=None, "
            "uploader_access_secret=None, region='us-east-1', downloader_session_token=None, "
            "uploader_session_token=None, anonymous=False)",
        ),
    ],
)
def test_compiled_classes_and_methods_have_real_signatures(name, signature):
    thing = cdn_manager
    for part in name.split("."):
        thing = getattr(thing, part)
    assert str(inspect.signature(thing)) == signature


def test_help_begins_with_the_signature_and_the_description():
    lines = pydoc.plain(pydoc.render_doc(cdn_manager.CDNManager)).splitlines()
    squeezed = "".join(line.strip(" |") for line in lines[:12]).replace(" ", "")  # Python 3.13 breaks a long signature
    assert "CDNManager(credentials,config=None,transfer_config=None,deadline=None,refresh=None)" in squeezed
    assert " |  Moves objects between this machine and the CDN." in lines
    assert not any("--" in line for line in lines[:12])


def test_every_public_name_is_documented():
    for name in cdn_manager.__all__:
        thing = getattr(cdn_manager, name)
        assert isinstance(thing, tuple) or inspect.getdoc(thing), name
