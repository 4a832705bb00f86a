"""Tests the findings about this machine: the installed modules, the disk."""

import pytest
from local_store import READER

from cdn_cli.checks import check
from cdn_manager import CDNCredentials

pytestmark = pytest.mark.portable


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that puts a distribution with one file on sys.path."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, file):
        metadata = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "RECORD").write_text(f"{file},sha256=x,10\n{metadata.name}/METADATA,,\n{metadata.name}/RECORD,,\n")

    return make


def constants_finding():
    findings = check(CDNCredentials("https://nothing.invalid", *READER))
    return next(finding for finding in findings if finding.name == "constants")


def test_constants_module_is_ok_when_no_other_distribution_has_one():
    assert constants_finding().state == "ok"


@pytest.mark.parametrize(
    "file", ["constants.py", "constants/__init__.py", "constants.abi3.so", "constants.cp312-win_amd64.pyd"]
)
def test_constants_module_of_another_distribution_fails_and_the_distribution_is_named(install, file):
    install("physical-constants", file)
    finding = constants_finding()
    assert finding.state == "failed"
    assert "physical-constants" in finding.text
    assert "separate virtual environments" in finding.advice


@pytest.mark.parametrize("file", ["physics/constants.py", "constants.txt", "constants_of_nature.py"])
def test_file_of_another_distribution_that_is_no_constants_module_is_ok(install, file):
    install("physics", file)
    assert constants_finding().state == "ok"
