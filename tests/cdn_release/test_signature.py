"""Tests the signatures of manifests: whose are accepted, and that no private key shows."""

import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tracebacks import secrets_shown

from cdn_manager import TRANSFER_ERRORS
from cdn_release import SignatureError
from cdn_release.signature import LARGEST_SIGNATURE, check, load_signing_key, sign

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"
CONTENT = b'{"files":[],"format":1,"name":"v2"}'

OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


def private_pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def lines_of(pem):
    """Return the base64 in PEM, which is what must not show of a private key."""
    return "".join((pem if isinstance(pem, str) else pem.decode()).split("-----")[2].split())


KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # the same in all processes that run tests
PEM = private_pem(KEY)
PUBLIC = public_pem(KEY)
SIGNATURE = sign(CONTENT, PEM)

EC = private_pem(ec.generate_private_key(ec.SECP256R1()))
ENCRYPTED = private_pem(KEY, BestAvailableEncryption(b"password"))


@pytest.fixture
def file(folder):
    path = folder / "release.pem"
    path.touch(mode=0o600)
    path.write_bytes(PEM)
    return path


def refusal(function, *arguments, secret=None):
    """Return the message of the error, which nowhere shows a private key."""
    with pytest.raises(SignatureError) as caught:
        function(*arguments)
    shown = [] if secret is None else secrets_shown(caught.value, lines_of(secret), lines_of(secret)[:40])
    assert not shown
    return str(caught.value)


@pytest.mark.portable
@pytest.mark.parametrize("public", [PUBLIC, lines_of(PUBLIC), f"\r\n{PUBLIC}\r\n"], ids=["PEM", "base64", "spaces"])
@pytest.mark.parametrize("key", ["bytes", "text", "path", "pathlib", "loaded"])
def test_signature_is_accepted_with_the_public_key(file, key, public):
    keys = {"bytes": PEM, "text": PEM.decode(), "path": str(file), "pathlib": file, "loaded": load_signing_key(PEM)}
    signature = sign(CONTENT, keys[key])
    assert re.fullmatch(rb"[A-Za-z0-9+/]{86}==\n", signature)
    check(CONTENT, signature, public)


def test_changed_manifest_is_refused():
    for place in range(len(CONTENT)):
        changed = CONTENT[:place] + bytes([CONTENT[place] ^ 1]) + CONTENT[place + 1 :]
        assert "was changed after it was signed" in refusal(check, changed, SIGNATURE, PUBLIC)


def test_signature_of_another_key_is_refused():
    other = ed25519.Ed25519PrivateKey.generate()
    assert "signed with another key" in refusal(check, CONTENT, sign(CONTENT, private_pem(other)), PUBLIC)


def test_signature_of_the_same_bytes_for_another_purpose_is_refused():
    assert "signed with another key" in refusal(check, CONTENT, b64encode(KEY.sign(CONTENT)), PUBLIC)


def test_machine_without_ed25519_accepts_nothing(monkeypatch):
    """In FIPS mode, for example."""

    def refuse(_):
        raise UnsupportedAlgorithm("ed25519 is not supported by this version of OpenSSL")

    monkeypatch.setattr(ed25519.Ed25519PublicKey, "from_public_bytes", refuse)
    assert "this machine cannot check signatures" in refusal(check, CONTENT, SIGNATURE, PUBLIC)


def test_missing_signature_is_refused_with_what_to_do():
    assert "publish it with --sign" in refusal(check, CONTENT, None, PUBLIC)


@pytest.mark.parametrize(
    "signature",
    [
        b"", b"\n", b"none", b"\xff" * 88, SIGNATURE[:-4], SIGNATURE[:40], SIGNATURE * 2, b64decode(SIGNATURE),
        b64encode(b64decode(SIGNATURE) + b"\0"), SIGNATURE[:44] + b"\n" + SIGNATURE[44:], b"<html>" + SIGNATURE,
        SIGNATURE + b" " * LARGEST_SIGNATURE,  # too long, and right but for that
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_signature_is_refused(signature):
    assert "signed with another key" in refusal(check, CONTENT, signature, PUBLIC)


def test_error_of_a_signature_is_an_error_of_a_transfer():
    with pytest.raises(TRANSFER_ERRORS):
        check(CONTENT, None, PUBLIC)


@pytest.mark.parametrize("private", [PEM.decode(), lines_of(PEM)], ids=["PEM", "base64"])
def test_private_key_in_the_place_of_the_public_one_is_told_and_not_shown(private):
    assert "the public key is a private key" in refusal(check, CONTENT, SIGNATURE, private, secret=PEM)


@pytest.mark.parametrize(
    "other", [ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()], ids=["EC", "X25519"]
)
def test_public_key_of_another_kind_is_refused(other):
    assert "must be an Ed25519 public key" in refusal(check, CONTENT, SIGNATURE, public_pem(other))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (EC, "is not an Ed25519 key: make one with 'openssl genpkey -algorithm ed25519 -out release.pem'"),
        (ENCRYPTED, "is encrypted: sign with what 'openssl pkey -in KEYFILE' prints"),
        (PUBLIC.encode(), "is a public key: sign with the private one that belongs to it"),
        (PEM[:60], "is not PEM of PKCS#8: make one with 'openssl genpkey -algorithm ed25519 -out release.pem'"),
        (PEM.replace(b"MC4C", b"MC4D"), "is not PEM of PKCS#8: make one with"),
        (b"", "is not PEM of PKCS#8: make one with"),
    ],
    ids=["EC", "encrypted", "public", "cut short", "damaged", "empty"],
)
@pytest.mark.parametrize("kind", ["bytes", "path"])
def test_key_that_cannot_sign_is_refused_with_what_to_do_and_not_shown(file, key, expected, kind):
    file.write_bytes(key)
    message = refusal(sign, CONTENT, key if kind == "bytes" else file, secret=EC if key == EC else PEM)
    name = "the signing key" if kind == "bytes" else f"the signing key in {str(file)!r}"
    assert message.startswith(f"{name} {expected}")


@pytest.mark.parametrize(
    "text",
    [lines_of(PEM), PEM.decode()[:60], PEM.decode().replace("MC4C", "MC4D")],
    ids=["base64", "cut short", "damaged"],
)
def test_text_of_a_private_key_is_not_taken_for_a_path(text):
    assert "is not PEM of PKCS#8" in refusal(sign, CONTENT, text, secret=PEM)


def test_file_that_cannot_be_read_is_named(folder):
    with pytest.raises(FileNotFoundError) as caught:
        sign(CONTENT, "missing.pem")
    assert caught.value.filename == "missing.pem"


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o644, True)])
def test_key_file_that_other_users_can_read_logs_a_warning(file, log_lines, mode, warned):
    file.chmod(mode)
    sign(CONTENT, file)
    expected = f"{file} contains secrets, and other users of this machine can read it: chmod 600 {file}"
    assert log_lines() == ([expected] if warned else [])


@pytest.mark.parametrize(("function", "argument"), [(load_signing_key, (PEM,)), (check, (CONTENT, SIGNATURE, PUBLIC))])
def test_missing_package_is_named_with_what_to_install(monkeypatch, function, argument):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)  # imports of it then fail
    assert "pip install 'cdn-manager[sign]'" in refusal(function, *argument, secret=PEM)


def test_package_is_imported_only_where_it_is_needed():
    code = "import sys, cdn_release.signature; print('cryptography' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-P", "-c", code], text=True).strip() == "False"


def commands_of(title):
    """Return the lines of a block of commands of the page, from a line on."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if title in block)
    return [line for line in block.splitlines() if not line.startswith(("pip ", "cdn-manager "))]


@OPENSSL
def test_commands_of_the_page_make_keys_that_sign_and_check_signatures_without_us(folder):
    shell = {"shell": True, "check": True, "capture_output": True, "text": True}
    make, show = commands_of("genpkey")
    subprocess.run(make, **shell)
    public = subprocess.run(show, **shell).stdout
    assert (folder / "release.pem").stat().st_mode & 0o077 == 0
    signature = sign(CONTENT, "release.pem")
    check(CONTENT, signature, public)
    check(CONTENT, signature, public.splitlines()[1])
    (folder / "v2.json").write_bytes(CONTENT)
    (folder / "v2.sig").write_bytes(signature)
    assert "Verified Successfully" in subprocess.run("\n".join(commands_of("pkeyutl")), **shell).stdout
