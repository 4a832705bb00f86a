"""Tests the findings about this machine: the installed modules, the disk."""

from types import SimpleNamespace

import pytest
from findings import findings_of
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


# The disk


@pytest.fixture
def asked_for(monkeypatch):
    """The directories whose disk has been looked at; each is 1 GB large, with 1 kB free."""
    places = []

    def disk_usage(place):
        places.append(place)
        return SimpleNamespace(total=10**9, free=1000)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    return places


def disk_finding(*names, **options):
    return findings_of(CDNCredentials("https://nothing.invalid", *READER), *names, **options)["disk"]


def test_disk_is_that_of_the_folder_downloads_go_to(folder, asked_for):
    (folder / "models").mkdir()
    (folder / "into").mkdir()
    disk_finding()
    disk_finding("models")
    disk_finding("models", into="into/of/it")
    disk_finding("not-there-yet")
    assert asked_for == [str(folder), str(folder / "models"), str(folder / "into"), str(folder)]


def test_file_system_that_reports_no_blocks_is_not_known_and_not_full(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=0, free=0))
    finding = disk_finding()
    assert finding.state == "skipped"
    assert finding.text.startswith("not known")


def test_disk_that_cannot_be_asked_is_a_finding(monkeypatch):
    def disk_usage(place):
        raise PermissionError(13, "Permission denied", place)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    finding = disk_finding()
    assert finding.state == "failed"
    assert "Permission denied" in finding.text


def test_test_that_breaks_is_a_finding_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: {}["total"])
    finding = disk_finding()
    assert (finding.state, finding.text) == ("failed", "the test itself failed: KeyError: 'total'")


def test_folder_that_cannot_be_written_to_fails_whatever_is_free(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    finding = disk_finding("models")
    assert (finding.state, finding.text) == ("failed", f"this user cannot write to {str(folder)!r}")
    assert "--into" in finding.advice


def test_disk_does_not_matter_where_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    credentials = CDNCredentials("https://nothing.invalid", uploader_access_key="k", uploader_access_secret="s")
    assert findings_of(credentials)["disk"].state == "skipped"
