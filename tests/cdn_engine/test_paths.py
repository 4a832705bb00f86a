"""Keys never lead outside the folder, and are checked by the rules of POSIX and of Windows on every system.

These tests also run as root, so every hostile name points into the test's own sandbox.
"""

import contextlib
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_store import READER, WRITER

from cdn_engine.paths import Target, local_path, objection_to_key
from cdn_manager import CDNCredentials, CDNManager, UnsafePathError

pytestmark = pytest.mark.portable

# From CVE-2022-31159, GHSA-7p4m-qxvv-g567, CVE-2026-15717, s5cmd#872, and Windows' own rules. ``{out}`` is the sandbox.
ADVISORIES = [
    "../x", "../../x", "a/../../x", "a/../x", "./x", "a/./x", "..", ".", "a/..", "a/.", "../", "/x", "//x", "{out}/x",
    "/{out}/x", "a//x", "a/", "", "/", "//", "\\x", "..\\x", "a\\..\\..\\x", "a/..\\../x", "\\\\server\\share\\x",
    "//server/share/x", "\\\\?\\C:\\x", "\\\\.\\C:", "C:x", "C:\\x", "C:/x", "c:", "a/C:/x", "x:stream", "x::$DATA",
    "x\0", "\0", "a\0/../x", "x\n", "x\r", "\x1b[2Jx", "\x7f", "x\x85", "con", "CON", "nul", "NUL.txt", "nul.tar.gz",
    "a/aux", "aux/x", "prn", "com1", "COM9.log", "lpt1", "LPT9", "com0", "com¹", "lpt³.x", "CONIN$", "conout$",
    "nul .txt", "con ", "x.", "x..", "x ", "x. ", "a./x", "a /x", "...", " ", ". ", ".. ", "a/.../x", "x" * 256,
    "ä" * 128, "a/" + "x" * 256, ".cdn-1", ".CDN-1.part", "a/.cdn-x.lock", "\ud800",
    "x\udfff", ".cdn-" + "0" * 32 + ".part", "..%2f..%2fx/..", "%2e%2e/../x", "‥/../x", "..\uff0f/../x", "~/../../x",
]  # fmt: skip

# Only Windows cannot hold these, and they do no harm elsewhere.
IMPOSSIBLE_ON_WINDOWS = ["a?b", "a*", '"', "<", ">", "a|b", "dir*/x", "x?"]

ORDINARY = [
    "x", "model.safetensors", "a b c", " leading", "ünïcödé", "日本語.bin", "😀", "a+b", "100%", "%2e%2e", "a%2Fb",
    "-rf", "--help", "-", "a.b.c", ".hidden", "..x", "...x", "x..y", "a/b/c/d", "a b/c d", "~", "~root", "$HOME", "#",
    "a&b", "a;b", "a=b", "a'b", "(a)", "[a]", "{a}", "a,b", "a@b", "!", "^", "`", "console", "nul1", "com10",
    "auxiliary.txt", "lpt", "x" * 255, "ä" * 127, "a/-/b", "e\u0301", "\u202ex", "cdn-1", "..%2f..x", "‥",
    "\uff0e\uff0e", "\uff3c", "\u2215",
]  # fmt: skip

HOSTILE_PARTS = st.sampled_from([
    "..", ".", "", "/", "\\", "//", "\\\\", "C:", ":", "\0", "\n", "nul", "CON", "com1.txt", "x.", "x ", "~", "$HOME",
    "%2e%2e", "..\\..", "\uff0e\uff0e", "\u202e", "a", "b c", "日本", ".cdn-", "?", "*", "link", "link/up",
    "\ud800", "x" * 256,
])  # fmt: skip
NAMES = st.one_of(
    st.lists(HOSTILE_PARTS, min_size=1, max_size=6).map("/".join),
    st.lists(HOSTILE_PARTS, min_size=1, max_size=6).map("".join),
    st.text(st.characters(), max_size=30),
    st.binary(max_size=20).map(os.fsdecode),
)


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A sandbox with a working directory deep inside it, and links planted in its ``folder``."""
    work = tmp_path / "1" / "2" / "3" / "4" / "5" / "6" / "work"
    (work / "folder").mkdir(parents=True)
    (work / "folder-beside").mkdir()
    (work / "folder" / "link").symlink_to(tmp_path)
    (work / "folder" / "up").symlink_to("..")
    (work / "folder" / "inside").mkdir()
    (work / "folder" / "within").symlink_to("inside")
    (work / "folder" / "beside").symlink_to(work / "folder-beside")
    (work / "folder" / "nowhere").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(work)
    return tmp_path


def write(path):
    """Write a file as a download does: under another name first."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    unfinished = os.path.join(os.path.dirname(path), ".cdn-unfinished")
    Path(unfinished).write_bytes(b"x")
    if not os.path.isdir(path) or os.path.islink(path):
        os.replace(unfinished, path)


@pytest.mark.parametrize("key", ADVISORIES, ids=ascii)
def test_hostile_key_is_rejected(key, sandbox):
    with pytest.raises(UnsafePathError):
        local_path("folder", key.replace("{out}", str(sandbox)))


@pytest.mark.parametrize("folder", [name for name in ADVISORIES if name != "{out}/x"] + ["a/b", "{out}"], ids=ascii)
def test_hostile_folder_is_rejected(folder, sandbox):
    with pytest.raises(UnsafePathError):
        local_path(folder.replace("{out}", str(sandbox)), "x")


@pytest.mark.parametrize("key", ORDINARY, ids=ascii)
def test_ordinary_key_stays_below_the_folder(key, sandbox):
    path = os.fspath(local_path("folder", key))
    assert path == str(Path("folder").resolve().joinpath(*key.split("/")))
    write(path)


@pytest.mark.parametrize("key", IMPOSSIBLE_ON_WINDOWS, ids=ascii)
def test_what_windows_cannot_hold_is_refused_there_only(key):
    assert objection_to_key(key, windows=True) is not None
    assert objection_to_key(key, windows=False) is None


def test_byte_that_is_no_utf8_is_not_called_a_control_character():
    problem = objection_to_key(os.fsdecode(b"caf\xe9.bin"), windows=False)
    assert problem == r"it is not valid UTF-8 at '\udce9'"


@pytest.mark.parametrize("key", [key for key in ADVISORIES if "{" not in key], ids=ascii)
def test_upload_is_refused_under_a_key_that_no_download_could_fetch(key, folder):
    """Before any request: nothing listens at this address."""
    with CDNManager(CDNCredentials("http://127.0.0.1:9", *READER, *WRITER), deadline=60) as manager:
        with pytest.raises(UnsafePathError) as caught:
            manager.store("bucket", key, b"payload")
        assert not manager.upload_bytes("bucket", key, b"payload")
    assert "fetch(path" not in str(caught.value)


@pytest.mark.parametrize("key", ["link/x", "up/x", "beside/x", "nowhere/x", "link/1/x", "within/../../x"])
def test_link_out_of_the_folder_is_rejected(key, sandbox):
    with pytest.raises(UnsafePathError):
        local_path("folder", key)


def test_link_within_the_folder_is_followed(sandbox):
    assert os.fspath(local_path("folder", "within/x")) == str(Path("folder/inside/x").resolve())


def test_folder_may_be_a_link(sandbox):
    os.symlink(sandbox, "chosen")
    assert os.fspath(local_path("chosen", "x")) == str(sandbox.resolve() / "x")


def test_link_under_the_final_name_is_not_followed(sandbox):
    """A download replaces the link; it never opens the final name."""
    (Path("folder") / "final").symlink_to(sandbox / "outside")
    assert os.fspath(local_path("folder", "final")) == str(Path("folder").resolve() / "final")


@pytest.mark.parametrize("path", ["out/", "out//", "out/.", "..", "", "/"])
def test_path_without_a_file_name_is_a_directory(path):
    with pytest.raises(IsADirectoryError) as caught:
        Target.of(path)
    assert caught.value.filename == path


def test_path_may_be_bytes(folder):
    assert os.fspath(Target.of(b"out/\xff")) == os.fsdecode(os.fsencode(folder) + b"/out/\xff")


def entries_outside(sandbox, base):
    return {entry for entry in sandbox.rglob("*") if base not in entry.parents}


@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(folder=st.one_of(st.just("folder"), NAMES), key=NAMES)
def test_generated_names_never_leave_the_folder(folder, key, sandbox):
    work = Path.cwd().resolve()
    try:
        path = os.fspath(local_path(folder, key))
    except UnsafePathError:
        return
    base = work / folder
    assert os.path.realpath(os.path.dirname(path)) == os.path.dirname(path)
    assert path.startswith(f"{base.resolve()}{os.sep}")
    assert all(unicodedata.category(character) != "Cc" for character in path)
    outside = entries_outside(sandbox, base)
    with contextlib.suppress(FileExistsError, NotADirectoryError):  # a file of another example is in the way
        write(path)
    assert entries_outside(sandbox, base) - outside <= {base}
