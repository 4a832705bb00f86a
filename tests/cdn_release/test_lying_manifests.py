"""Manifests as a hostile store would give them: refused before a byte of a file is asked for."""

import base64
import os
import subprocess
import sys
import tracemalloc

import pytest
from file_systems import new_file_system, skip_without
from lies import CONTENT, DIGEST, Edge, file, manifest
from local_store import READER
from payloads import sha256
from releases import check_directory, fault_in, write_release
from scripted_server import ScriptedServer, answering

from cdn_manager import CDNCredentials, CDNManager, IntegrityError
from cdn_release import (
    ReleaseDoesNotFitError,
    SignatureError,
    current,
    install,
    prune,
    publish,
    rollback,
)
from cdn_release.signature import sign

ABSENT = sha256(b"what no store has")

PATHS = [
    "", "/", "/x", "../x", "a/../../x", "a/..", "./x", "a/./x", "a//x", "a/", "a\\x", "\\\\host\\x", "C:x", "C:/x",
    "x:stream", "x\0", "x\n", "\x1b[2J", "\x7f", "\x85", "\ud800", "nul", "a/COM1.txt", "conin$",
    "lpt\N{SUPERSCRIPT ONE}", "x.", "x ", "...", ".cdn-release/history", ".CDN-Release/lock", "a/.cdn-x", "x" * 256,
    "\N{LATIN SMALL LETTER E WITH ACUTE}" * 128, "a/" * 512 + "x",
]  # fmt: skip

SIZES = [-1, (1 << 53) + 1, 1 << 80, 7.0, 1e400, float("nan"), "7", None, True, [7]]
DIGESTS = ["", "00", "0" * 63, "0" * 65, "g" * 64, ABSENT.upper(), ABSENT[:-1] + "\n", "../" * 21 + "x", None, 0]
MODES = ["", "44", "0644", "4755", "888", "rw-", "644\n", 644, None]


@pytest.fixture
def server(moto_url):
    with ScriptedServer(moto_url) as running:
        yield running


@pytest.fixture
def edge(server, moto_admin, moto_bucket, moto_manager, folder):
    publish(moto_manager, moto_bucket, write_release(folder / "v1", "v1", 1000), "v1")
    with CDNManager(CDNCredentials(server.url, *READER)) as manager:
        install(manager, moto_bucket, "v1", folder / "models")
        made = Edge(server, manager, moto_admin, moto_bucket, folder / "models")
        made.put(CONTENT)
        yield made
    check_directory(folder / "models", ["v1"], "v1", 1000)


def test_manifest_that_does_not_lie_is_installed(edge, folder):
    """Which shows that the others are refused for their lies."""
    edge.admin.put_object(Bucket=edge.bucket, Key="releases/v2.json", Body=manifest())
    assert install(edge.manager, edge.bucket, "v2", folder / "other").path == folder / "other" / "v2"
    assert (folder / "other" / "v2" / "weights.bin").read_bytes() == CONTENT


def test_path_that_leads_elsewhere_is_refused(edge):
    for path in PATHS:
        edge.refuses(manifest(file(path)))


def test_size_digest_or_mode_that_is_none_is_refused(edge):
    for size in SIZES:
        edge.refuses(manifest(file(size=size)))
    for digest in DIGESTS:
        edge.refuses(manifest(file(digest=digest)))
    for mode in MODES:
        edge.refuses(manifest(file(mode=mode)))


def test_file_that_is_there_twice_or_is_a_directory_too_is_refused(edge):
    edge.refuses(manifest(file("a"), file("a")))
    edge.refuses(manifest(file("a", mode="600"), file("a")))
    edge.refuses(manifest(file("b"), file("a")))
    edge.refuses(manifest(file("a"), file("a/b")))
    edge.refuses(manifest(file("a"), file("a b"), file("a/b/c")))


def test_document_that_is_no_manifest_is_refused(edge):
    good = manifest()
    for content in (
        b"", b"null", b"7", b'"v2"', b"[]", b"{}", b"<html>", good[:-1], good + b"\n", good + good, b" " + good,
        good.replace(b'"size":7', b'"size":7.0'), good.replace(b'"size":7', b'"size":07'),
        good.replace(b'"size":7', b'"size":-0'), good.replace(b'"size":7', b'"size":7e0'),
        good.replace(b'"size":7', b'"size":NaN'), good.replace(b'"size":7', b'"size":1' + b"0" * 10_000),
        good.replace(b'"size":7', b'"size":7,"size":7'), good.replace(b'"name":"v2"', b'"name":"v1","name":"v2"'),
        good.replace(b"weights", b"w\\u0065ights"), good.replace(b"weights", b"\xff"),
        good.replace(b"weights", b"\xc0\xae"), good.replace(b'":', b'": '), b"\xef\xbb\xbf" + good,
        good.decode().encode("utf-16"), good.decode().encode("utf-32"),
        manifest(files=[]), manifest(files={}), manifest(files=None), manifest(files=[None]), manifest(files=[[]]),
        manifest(file(url="https://example.com")), manifest(more=1), manifest(format=2), manifest(format=True),
        manifest(format="1"), manifest(format=None), manifest(name="v1"), manifest(name=None), manifest(name="../v2"),
        manifest(name="v2" * 1_000_000), manifest(file("x" * 1_000_000)),
        b"[" * 1_000_000, b'{"files":' * 1_000_000, b"9" * 1_000_000,
    ):  # fmt: skip
        edge.refuses(content)


def test_hundred_thousand_files_are_refused(edge):
    edge.refuses(manifest(*[file(f"{number:06}") for number in range(100_000)]))


def test_release_for_which_there_is_no_room_is_refused(edge):
    size = 1 << 50
    edge.server.fault("HEAD", lambda exchange: exchange.answer(200, [("ETag", '"x"'), ("Content-Length", size)]))
    edge.refuses(manifest(file(size=size)), ReleaseDoesNotFitError, heads=1)


def test_digest_that_was_pinned_is_not_that_of_this_manifest(edge):
    edge.refuses(manifest(), sha256=sha256(manifest(file(mode="755"))))


def test_manifest_without_the_required_signature_is_refused(edge):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    (our_key, public), (their_key, _) = (key_pair(ed25519.Ed25519PrivateKey.generate()) for _ in range(2))
    edge.refuses(manifest(), SignatureError, public_key=public)
    for signature in (
        b"", b"AAAA", bytes(64), base64.b64encode(bytes(64)), b"x" * 10_000, sign(manifest(), their_key),
        sign(manifest(format=2), our_key), sign(manifest(), our_key) * 2,
    ):  # fmt: skip
        edge.admin.put_object(Bucket=edge.bucket, Key=f"releases/v2.{sha256(manifest())}.sig", Body=signature)
        edge.refuses(manifest(), SignatureError, public_key=public)


def key_pair(private):
    """Return the PEM of both keys."""
    from cryptography.hazmat.primitives import serialization

    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain), public.decode()


def test_what_the_store_has_must_be_what_the_manifest_says(edge):
    edge.put(CONTENT * 2, ABSENT)
    edge.refuses(manifest(file(size=6)), heads=1)
    edge.refuses(manifest(file(size=8)), heads=1)
    edge.refuses(manifest(file("a", size=6), file("b")), heads=1)
    edge.refuses(manifest(file(digest=sha256(b"")), file("x")), heads=2)
    edge.refuses(manifest(file(digest=ABSENT)), heads=1)
    edge.admin.put_object(Bucket=edge.bucket, Key=f"objects/{ABSENT}", Body=CONTENT, Metadata={"sha256": DIGEST})
    edge.refuses(manifest(file(digest=ABSENT)), heads=1)


def test_content_that_differs_although_all_else_agrees_is_found_by_its_digest(edge):
    edge.put(b"WEIGHTS", DIGEST)
    edge.admin.put_object(Bucket=edge.bucket, Key="releases/v2.json", Body=manifest())
    with pytest.raises(IntegrityError):
        install(edge.manager, edge.bucket, "v2", edge.directory)
    assert sorted(os.listdir(edge.directory)) == [".cdn-release", "current", "v1"]
    assert current(edge.directory) == edge.directory / "v1"
    edge.put(CONTENT)
    install(edge.manager, edge.bucket, "v2", edge.directory)
    assert fault_in(edge.directory / "v2", {"weights.bin": (CONTENT, 0o644)}) is None
    rollback(edge.directory, "v1")
    prune(edge.directory, 1)


GIB = 1 << 30
IN_SOCKETS = 64 << 20  # bytes that the sockets of a loopback connection may hold, and more


@pytest.mark.parametrize("length", [f"Content-Length: {GIB}", "Connection: close"])
def test_gibibyte_of_json_is_not_read(edge, length):
    """Whether the store says how much it is or not."""
    sent = 0

    def pour(exchange):
        nonlocal sent
        exchange.connection.sendall(f'HTTP/1.1 200 OK\r\nETag: "x"\r\n{length}\r\n\r\n'.encode())
        block = b'{"a":[1,2,3],"b":null},' * 50_000
        while sent < GIB:
            exchange.connection.sendall(block)
            sent += len(block)
        exchange.close()

    edge.server.fault("HEAD", *[answering(405, body=b"")] * 10)
    edge.server.fault("GET", *[pour] * 10)
    tracemalloc.start()
    edge.refuses(None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent < IN_SOCKETS
    assert peak < MEMORY


MEMORY = 100 << 20  # bytes that reading a manifest may take
BOMBS = r"""
from cdn_release import Manifest, ManifestError
def entry(path):
    return b'{"mode":"644","path":"%b","sha256":"%b","size":1}' % (path, b"0" * 64)
def manifest(*paths):
    return b'{"files":[%b],"format":1,"name":"v2"}' % b",".join(map(entry, paths))
bombs = [
    lambda: b"[" + b"[]," * (5 << 20) + b"[]]",
    lambda: b'{"files":[' + b"{}," * (5 << 20) + b'{}],"format":1,"name":"v2"}',
    lambda: b"[" + b"1e9," * (3 << 20) + b"0]",
    lambda: manifest(b"a/" * 100_000 + b"x"),
    lambda: manifest(*(b"%05d/" % number + b"a/" * 500 + b"x" for number in range(14_000))),
]
def peak():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if "VmHWM" in line)
for bomb in bombs:
    content = bomb()
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    try:
        Manifest.parse(content, "v2")
        print("accepted")
    except ManifestError:
        print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="peaks of memory are measured on Linux only")
def test_json_that_is_far_larger_in_memory_is_refused():
    done = subprocess.run([sys.executable, "-P", "-c", BOMBS], capture_output=True, text=True, check=True)
    taken = list(map(int, done.stdout.split()))
    assert len(taken) == 5
    assert max(taken) < MEMORY


@pytest.fixture
def folding(tmp_path):
    skip_without("ntfs")
    with new_file_system(tmp_path, "ntfs") as path:
        yield path


def test_names_that_are_one_on_this_file_system_are_refused(edge, folding, folder):
    edge.directory = folding / "models"
    install(edge.manager, edge.bucket, "v1", edge.directory)
    acute = "\N{LATIN CAPITAL LETTER E WITH ACUTE}", "\N{LATIN SMALL LETTER E WITH ACUTE}"
    for names in (("A", "a"), ("A/x", "a/y"), ("A", "a/b"), acute):
        edge.refuses(manifest(*map(file, names)), ReleaseDoesNotFitError)
    edge.directory = folder / "models"
