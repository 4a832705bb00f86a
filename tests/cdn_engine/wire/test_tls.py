"""What TLS trusts, and that a CA bundle that cannot be used is named at once."""

import ssl
import sys

import pytest
import trustme

from cdn_engine.errors import explain
from cdn_engine.wire.tls import ca_bundle, tls_context
from cdn_manager import CDNCredentials, CDNManager

pytestmark = pytest.mark.portable


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_variables_come_before_the_bundle_of_botocore(environment):
    assert ca_bundle()[1] == "botocore"
    environment.setenv("REQUESTS_CA_BUNDLE", "/requests.pem")
    assert ca_bundle() == ("/requests.pem", "REQUESTS_CA_BUNDLE")
    environment.setenv("AWS_CA_BUNDLE", "/aws.pem")
    assert ca_bundle() == ("/aws.pem", "AWS_CA_BUNDLE")


def test_certificate_and_host_name_are_verified():
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_directory_of_certificates_can_be_the_bundle(tmp_path):
    tls_context(str(tmp_path))


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_bundle_that_cannot_be_used_is_named_before_any_request(variable, environment, tmp_path, log_lines):
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path, words in {missing: "cannot be read: No such file or directory", empty: "holds no certificate"}.items():
        environment.setenv(variable, str(path))
        with CDNManager(CDNCredentials("https://127.0.0.1:9", "r", "rs", "w", "ws")) as manager:
            assert manager.upload_bytes("bucket", "key", b"abc") is False
            with pytest.raises(OSError, match=f"the CA bundle \\({variable}\\)") as caught:
                manager.fetch("bucket", "key", path=tmp_path / "file")
            assert explain(caught.value) == f"the CA bundle ({variable}) {words}: {str(path)!r}"
    assert len(log_lines()) == 2  # no retry is logged


def test_any_certificate_of_the_bundle_is_trusted(environment):
    """An intermediate CA without its root, and a CA without the extensions that Python 3.13 wants by default."""
    context = tls_context()
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    if sys.version_info >= (3, 13):
        assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_intermediate_ca_in_the_bundle_is_enough(tmp_path):
    root = trustme.CA()
    intermediate = root.create_child_ca()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    intermediate.issue_cert("store.invalid").configure_cert(server)
    with intermediate.cert_pem.tempfile() as bundle:
        assert handshake(tls_context(bundle), server) == "store.invalid"


def handshake(client_context, server_context):
    """Shake hands in memory. Return the name that was verified."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="store.invalid")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.getpeercert()["subjectAltName"][0][1]
