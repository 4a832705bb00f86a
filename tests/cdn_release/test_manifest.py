"""What a manifest may be: one form for each release, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdn_release import FileEntry, Manifest, ManifestError

DIGEST = "0123456789abcdef" * 4

names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/\\:."), min_size=1, max_size=8
)
entries = st.builds(
    FileEntry,
    st.lists(names, min_size=1, max_size=3).map("/".join),
    st.integers(0, 1 << 53),
    st.integers(0, (1 << 256) - 1).map("{:064x}".format),
    st.integers(0, 0o777),
)


@given(st.lists(entries, min_size=1, max_size=5))
def test_manifest_that_is_written_is_read_as_the_same(files):
    try:
        made = Manifest.of("v1", files)
    except ManifestError:
        return  # a path that no release may have
    assert Manifest.parse(made.encode(), "v1") == made
    assert Manifest.of("v1", files[::-1]).sha256 == made.sha256


@given(st.data())
def test_manifest_of_which_a_byte_differs_is_another_or_none(data):
    content = bytearray(Manifest.of("v1", [FileEntry("a/b", 5, DIGEST, 0o644)]).encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = Manifest.parse(bytes(content), "v1")
    except ManifestError:
        return
    assert found.encode() == content


def document(**changes):
    return {"files": [{"mode": "644", "path": "a", "sha256": DIGEST, "size": 1}], "format": 1, "name": "v1"} | changes


def written(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


@pytest.mark.portable
def test_form_is_canonical_json():
    assert Manifest.parse(written(document()), "v1").encode() == written(document())


FILE = document()["files"][0]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b"1" * 10_000, b'{"files":NaN}',
        json.dumps(document()).encode(), written(document()) + b"\n", written(document()).decode().encode("utf-16"),
        b"\xef\xbb\xbf" + written(document()), written(document()).replace(b'"a"', b'"\\u0061"'),
        written(document()).replace(b'"size":1', b'"size":1,"size":1'),
        written(document()).replace(b'"size":1', b'"size":01'), written(document()).replace(b'"a"', b'"\xff"'),
        *(written(document(**change)) for change in (
            {"format": 2}, {"format": "1"}, {"format": True}, {"name": "v2"}, {"name": 1}, {"more": 1}, {"files": []},
            {"files": {}}, {"files": [1]}, {"files": [FILE, FILE]}, {"files": [FILE | {"path": "b"}, FILE]},
            {"files": [FILE, FILE | {"path": "a/b"}]},
        )),
        *(written(document(files=[FILE | change])) for change in (
            {"size": -1}, {"size": 1.0}, {"size": "1"}, {"size": 1e20}, {"size": 2**80}, {"size": (1 << 53) + 1},
            {"size": True}, {"size": None}, {"sha256": DIGEST[1:]}, {"sha256": DIGEST.upper()}, {"sha256": None},
            {"mode": "0644"}, {"mode": "888"}, {"mode": 420}, {"mode": "64"}, {"more": 1}, {"path": None},
            *({"path": path} for path in (
                "", "/a", "../a", "a/../b", "a//b", "a/", ".", "./a", "a\\b", "C:a", "a:b", "a\0", "a\n", "nul",
                "a/con.txt", "a.", "a ", ".cdn-release/x", "x" * 256,
            )),
        )),
    ],
)  # fmt: skip
def test_everything_else_is_refused(content):
    with pytest.raises(ManifestError):
        Manifest.parse(content, "v1")


def test_number_of_files_is_bounded(monkeypatch):
    monkeypatch.setattr("cdn_release.manifest.MOST_FILES", 100)
    files = [FileEntry(f"{number:06}", 1, DIGEST, 0o644) for number in range(100)]
    assert len(Manifest.parse(Manifest.of("v1", files).encode(), "v1").files) == 100
    files.append(FileEntry("x", 1, DIGEST, 0o644))
    with pytest.raises(ManifestError, match="from 1 to 100 files, not 101"):
        Manifest.of("v1", files)
    with pytest.raises(ManifestError, match="more than 100 files"):
        Manifest.parse(Manifest("v1", tuple(files)).encode(), "v1")


def test_size_of_a_manifest_is_bounded(monkeypatch):
    made = Manifest.of("v1", [FileEntry("a", 1, DIGEST, 0o644)])
    monkeypatch.setattr("cdn_release.manifest.LARGEST", len(made.encode()) - 1)
    with pytest.raises(ManifestError, match="at most"):
        Manifest.of("v1", list(made.files))
    with pytest.raises(ManifestError, match="has more than"):
        Manifest.parse(made.encode(), "v1")
