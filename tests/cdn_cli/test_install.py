"""Tests `cdn-manager install`."""

import json
import os
import re
from pathlib import Path

import pytest
from command import publish_files, run, write_config
from local_store import READER, WRITER
from terminal import Relay, Terminal

from cdn_engine.phases import COMPARING, FINISHING, RECEIVING


@pytest.fixture
def published(store, bucket):
    """Two releases at the real store, of which an edge machine has the read key alone."""
    write_config(store.url)
    publish_files(bucket, "v1", **{"config.json": b"{}", "gone": b"1", "deep__weights": b"1" * 2000})
    publish_files(bucket, "v2", **{"config.json": b"{2}", "deep__weights": b"1" * 2000})
    write_config(store.url, READER, None)


def test_release_is_installed_and_then_the_next_one(published, bucket, capsys):
    assert run("install", bucket, "v1", "--into", "place") == 0
    assert re.fullmatch(
        r"installed v1: 3 files, 2\.0 kB in [^,]+; current is now v1\n", capsys.readouterr().out
    )  # fmt: skip
    assert run("install", bucket, "v2", "--into", "place") == 0
    assert re.fullmatch(
        r"installed v2: 2 files, 2\.0 kB in [^,:]+: 3 bytes fetched( \([^)]+/s\))?, 2\.0 kB here before; "
        r"current is now v2, was v1: 1 file changed, 1 file removed\n",
        capsys.readouterr().out,
    )  # fmt: skip
    assert Path("place", "current", "config.json").read_bytes() == b"{2}"
    assert Path("place", "v1", "config.json").read_bytes() == b"{}"
    assert run("install", bucket, "v2", "--into", "place") == 0
    assert capsys.readouterr().out == "v2 is installed already\n"
    assert run("install", bucket, "v1", "--into", "place") == 0
    assert capsys.readouterr().out == (
        "v1 is installed already; current is now v1, was v2: 1 file changed, 1 file added\n"
    )


def test_json_has_what_was_installed_and_what_changed(published, bucket, capsys):
    assert run("install", bucket, "v1", "--into", "place", "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert run("install", bucket, "v2", "--into", "place", "--json") == 0
    done, summary = map(json.loads, capsys.readouterr().out.splitlines())
    place = Path("place").resolve()
    assert len(done.pop("sha256")) == 64
    assert done.pop("seconds") > 0
    assert done == {
        "event": "done", "path": os.path.join("place", "v2"), "bucket": bucket, "key": "v2", "name": "v2", "files": 2,
        "size": 2003, "transferred": 3, "resumed_from": 0, "linked": 2000, "skipped": False, "verified": True,
        "verified_by": "sha256", "etag": None, "version_id": None,
        "changes": {
            "old": str(place / "v1"), "new": str(place / "v2"),
            "added": [], "changed": ["config.json"], "removed": ["gone"],
        },
    }  # fmt: skip
    assert summary.items() >= {"event": "summary", "done": 1, "failed": 0, "transferred": 3}.items()
    assert run("install", bucket, "v2", "--into", "place", "--json") == 0
    done, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert done.items() >= {"skipped": True, "verified": False, "transferred": 0, "linked": 0, "changes": None}.items()
    assert summary.items() >= {"done": 1, "skipped": 1, "unverified": 0}.items()


def test_identity_that_publish_has_printed_is_the_one_that_install_accepts(store, published, bucket, capsys):
    write_config(store.url)
    assert run("publish", bucket, "v1", "v1") == 0
    identity = capsys.readouterr().out.split()[-1]
    assert run("install", bucket, "v2", "--into", "place", "--sha256", identity) == 1
    written = capsys.readouterr()
    assert (written.out, len(written.err.splitlines())) == ("", 1)
    assert written.err.startswith(f"cdn-manager: {bucket}/v2: ")
    assert not Path("place", "v2").exists()
    assert run("install", bucket, "v1", "--into", "place", "--sha256", identity.upper()) == 0


@pytest.mark.skipif(os.name != "posix", reason="POSIX pseudo-terminals")
def test_install_interrupted_by_ctrl_c_resumes_in_the_next_run(store, bucket):
    write_config(store.url)
    publish_files(bucket, "v1", weights=os.urandom(12 << 20), small=b"1")
    relay = Relay(store.url)
    write_config(relay.url)
    command = ["install", bucket, "v1", "--into", "place"]
    install = Terminal(*command, patient=True)
    install.read_until(r"v1 \S+ +[2-9]\.\d/12\.6 MB")
    install.press_ctrl_c()
    assert install.wait() == 130
    assert "run the command again to resume" in install.screen
    assert "Traceback" not in install.screen
    assert not Path("place", "v1").exists()
    relay.pause = 0
    last = Terminal(*command)
    assert last.wait() == 0
    relay.close()
    assert re.search(r"installed v1: 2 files, 12\.6 MB in .+ from an earlier run; current is now v1", last.screen)


@pytest.mark.portable
@pytest.mark.parametrize("phase", [COMPARING, RECEIVING, FINISHING])
def test_ctrl_c_leaves_no_release_and_the_next_run_goes_on(config, moto_bucket, capsys, ctrl_c_in, phase):
    publish_files(moto_bucket, "v1", a=b"1", b=b"2" * 3000)
    known = ctrl_c_in(phase)
    assert run("install", moto_bucket, "v1", "--into", "place") == 130
    assert known.is_set()
    assert not Path("place", "v1").exists()
    assert not Path("place", "current").exists()
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines()[-1].endswith("nothing else has changed: run the command again to resume")
    assert run("install", moto_bucket, "v1", "--into", "place") == 0
    assert Path("place", "current", "a").read_bytes() == b"1"


@pytest.mark.portable
def test_release_that_is_not_there_is_a_failure_that_says_so(config, moto_bucket, capsys):
    assert run("install", moto_bucket, "v9", "--into", "place") == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert "there is no release 'v9'" in written.err


@pytest.mark.portable
def test_prefix_tells_where_releases_are(config, moto_bucket, capsys):
    Path("v1").mkdir()
    Path("v1", "a").write_bytes(b"1")
    assert run("publish", moto_bucket, "v1", "v1", "--prefix", "llama/") == 0
    assert run("install", moto_bucket, "v1", "--into", "place") == 1
    assert run("install", moto_bucket, "v1", "--into", "place", "--prefix", "llama") == 0


@pytest.mark.portable
def test_install_without_downloader_key_names_it(moto_url, capsys):
    write_config(moto_url, None, WRITER)
    assert run("install", "models", "v1", "--into", "place") == 2
    assert "no downloader_access_key: this machine cannot install" in capsys.readouterr().err


@pytest.mark.portable
def test_public_key_in_the_configuration_makes_a_signature_required(config, moto_bucket, capsys):
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    Path("key.pem").touch(mode=0o600)
    Path("key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    publish_files(moto_bucket, "v1", a=b"1")
    assert run("publish", moto_bucket, "v1", "v2", "--sign", "key.pem") == 0
    with open("cdn.yaml", "a") as file:
        file.write(f"\nrelease_public_key: {public.decode().splitlines()[1]}\n")
    assert run("install", moto_bucket, "v1", "--into", "place") == 1
    assert "the release is not signed" in capsys.readouterr().err
    assert run("install", moto_bucket, "v2", "--into", "place") == 0
    reading, writing = os.pipe()  # as for --sign <(decrypt)
    os.write(writing, Path("key.pem").read_bytes())
    os.close(writing)
    assert run("publish", moto_bucket, "v1", "v1", "--sign", f"/dev/fd/{reading}") == 0
    os.close(reading)
    assert "'v1' was published before: from now on it has the signature of this key" in capsys.readouterr().err
    assert run("install", moto_bucket, "v1", "--into", "place") == 0
