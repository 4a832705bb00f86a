"""Tests that the check and transfers agree: on which certificates to trust, and on which proxy to use."""

import datetime
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from findings import findings_of, states
from local_store import READER, WRITER
from scripted_server import ScriptedServer

from cdn_manager import TRANSFER_ERRORS, CDNCredentials, CDNManager

pytestmark = pytest.mark.portable


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch):
    """An environment that names no CA bundle."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)


@pytest.fixture
def https_store(tmp_path):
    """The URL of a store with a certificate; ca.pem, leaf.pem and other.pem are beside the tests' files."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "leaf.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "empty.pem").touch()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with ScriptedServer(tls=context) as server:
        yield server.url


def check_succeeds(url):
    return "failed" not in states(findings_of(CDNCredentials(url, *READER, *WRITER))).values()


def transfer_succeeds(url):
    with CDNManager(CDNCredentials(url, *READER, *WRITER)) as manager:
        try:
            manager.store("models", "m.bin", b"x")
        except TRANSFER_ERRORS:
            return False
        return True


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("bundle", "trusted"),
    [("ca.pem", True), ("leaf.pem", True), ("other.pem", False), ("empty.pem", False), ("missing.pem", False)],
)
def test_check_and_transfers_trust_the_same(https_store, tmp_path, monkeypatch, variable, bundle, trusted):
    monkeypatch.setenv(variable, str(tmp_path / bundle))
    assert (check_succeeds(https_store), transfer_succeeds(https_store)) == (trusted, trusted)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("bundle", ["missing.pem", "empty.pem"])
def test_unusable_ca_bundle_is_named_with_its_variable(https_store, tmp_path, monkeypatch, variable, bundle):
    monkeypatch.setenv(variable, str(tmp_path / bundle))
    finding = findings_of(CDNCredentials(https_store, *READER))["TLS"]
    assert finding.state == "failed"
    assert variable in finding.text
    assert str(tmp_path / bundle) in finding.text
    assert finding.advice == f"correct {variable}"


def test_untrusted_certificate_names_the_bundle_in_use(https_store, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    finding = findings_of(CDNCredentials(https_store, *READER))["TLS"]
    assert finding.state == "failed"
    assert f"REQUESTS_CA_BUNDLE is {str(tmp_path / 'other.pem')!r} now" in finding.advice


def certificate(name, key, issuer, issuer_key, extension):
    """Return a certificate that has one extension and no key identifiers, as old company CAs make them."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(*extension)
        .sign(issuer_key, hashes.SHA256())
    )


def test_certificate_of_an_old_ca_is_trusted_by_both(tmp_path, monkeypatch):
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    constraints = (x509.BasicConstraints(ca=True, path_length=None), False)
    authority = certificate("Old CA", ca_key, "Old CA", ca_key, constraints)
    name = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = certificate("store", key, "Old CA", ca_key, (name, False))
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "store.pem").write_bytes(private + leaf.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "store.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with ScriptedServer(tls=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert (check_succeeds(url), transfer_succeeds(url)) == (True, True)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_check_and_transfers_use_the_same_proxy(monkeypatch, variable):
    url = "http://store.example.com"
    with ScriptedServer() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        found = findings_of(CDNCredentials(url, *READER))
        assert found["host resolves"].text == "the proxy 127.0.0.1"
        assert found["answers"].state == "ok"
        assert transfer_succeeds(url)
        assert {request.target.split("/")[2] for request in proxy.requests} == {"store.example.com"}


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_socks_proxy_is_refused_by_name_in_both(monkeypatch, variable, scheme):
    url = "http://store.example.com"
    monkeypatch.setenv(variable, f"{scheme}://user:hidden@127.0.0.1:1080")
    finding = findings_of(CDNCredentials(url, *READER))["host resolves"]
    assert finding.state == "failed"
    assert f"a {scheme!r} proxy" in finding.text
    assert "HTTP_PROXY" in finding.advice
    assert "hidden" not in str(finding)
    assert not transfer_succeeds(url)
