"""The two boto3 clients: deaf to the machine's AWS settings, true to one host, and safe for stores other than AWS."""

import http.server
import io
import random
import ssl
import subprocess
import sys
import threading

import boto3.session
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import SSLError
from scripted_server import ScriptedServer

from cdn_manager import CDNCredentials, CDNError, CDNManager, NotAStoreError

pytestmark = pytest.mark.portable

CREDENTIALS = ("read-key", "read-secret", "write-key", "write-secret")


class Recorder:
    """An HTTP server that records every request and gives the same answer to each."""

    def __init__(self, status=200, headers=(), body=b"", context=None):
        recorder = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                recorder.requests.append((self.command, self.path, dict(self.headers)))
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_PUT = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def manager_of(host, **arguments):
    return CDNManager(CDNCredentials(host, *CREDENTIALS), **arguments)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home directory."""
    path = tmp_path / "home"
    path.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(path))
    return path


HOSTILE_VARIABLES = {
    "AWS_PROFILE": "nope",
    "AWS_DEFAULT_PROFILE": "nope",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_DEFAULT_REGION": "eu-hostile-1",
    "AWS_REGION": "eu-hostile-1",
    "AWS_ACCESS_KEY_ID": "ambient-key",
    "AWS_SECRET_ACCESS_KEY": "ambient-secret",
    "AWS_SESSION_TOKEN": "ambient-token",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_DEFAULTS_MODE": "nonsense",
    "AWS_MAX_ATTEMPTS": "nonsense",
    "AWS_RETRY_MODE": "nonsense",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "WHEN_SUPPORTED",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "WHEN_SUPPORTED",
    "AWS_DATA_PATH": "/nonexistent",
    "AWS_SDK_UA_APP_ID": "ambient-application",
    "AWS_S3_USE_ARN_REGION": "nonsense",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "nonsense",
    "AWS_EXECUTION_ENV": "ambient-machine",
}

ALL_AT_ONCE = pytest.param(list(HOSTILE_VARIABLES), id="all-at-once")


@pytest.mark.parametrize("names", [*[pytest.param([name], id=name) for name in HOSTILE_VARIABLES], ALL_AT_ONCE])
def test_aws_variables_are_ignored(names, home, monkeypatch):
    for name in names:
        monkeypatch.setenv(name, HOSTILE_VARIABLES[name])
    with Recorder(headers={"ETag": '"e"'}) as server, manager_of(f"http://{server.host}") as manager:
        manager.upload_client.put_object(Bucket="bucket", Key="key", Body=b"abc")
        manager.store("bucket", "key", b"abc")
    assert [request[:2] for request in server.requests] == [("PUT", "/bucket/key")] * 2
    for _, _, headers in server.requests:
        assert "Credential=write-key/" in headers["Authorization"]
        assert "/us-east-1/s3/" in headers["Authorization"]
        assert "ambient" not in str(headers)
        assert not any(name.lower().startswith(("x-amz-checksum", "x-amz-sdk-checksum")) for name in headers)


def test_lambda_environment_is_not_sent_to_the_store(home, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "function")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "ambient-trace")
    with Recorder(headers={"ETag": '"e"'}) as server, manager_of(f"http://{server.host}") as manager:
        manager.download_client.head_object(Bucket="bucket", Key="key")
        manager.store("bucket", "key", b"abc")
    assert "ambient" not in str(server.requests)


@pytest.mark.parametrize("where", ["in-the-home-directory", "named-by-a-variable"])
def test_aws_config_files_are_ignored(where, home, monkeypatch):
    settings = "[default]\nregion = eu-hostile-1\nendpoint_url = http://127.0.0.1:9\nmax_attempts = nonsense\n"
    (home / ".aws").mkdir()
    if where == "in-the-home-directory":
        (home / ".aws" / "config").write_text(settings)
        (home / ".aws" / "credentials").write_text("[default]\naws_session_token = ambient-token\nthis is broken")
    else:
        (home / "hostile").write_text(settings + "this is broken")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "hostile"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "hostile"))
    with Recorder(headers={"ETag": '"e"'}) as server, manager_of(f"http://{server.host}") as manager:
        assert manager.upload_bytes("bucket", "key", b"abc")
    assert "/us-east-1/s3/" in server.requests[0][2]["Authorization"]


def test_service_model_in_the_home_directory_is_ignored(home):
    models = home / ".aws" / "models" / "s3" / "2099-01-01"
    models.mkdir(parents=True)
    (models / "service-2.json").write_text("no json")
    script = (
        "from cdn_manager import CDNCredentials, CDNManager\n"
        "manager = CDNManager(CDNCredentials('http://127.0.0.1:9', 'key', 'secret'))\n"
        "print(manager.download_client.meta.service_model.api_version)"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "2006-03-01\n"


def test_proxy_variables_are_honoured(home, monkeypatch):
    with Recorder(headers={"ETag": '"e"'}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", "")
        with manager_of("http://store.invalid") as manager:
            assert manager.upload_bytes("bucket", "key", b"abc")
    assert proxy.requests[0][1] == "http://store.invalid/bucket/key"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Recorder(headers={"ETag": '"e"'}, context=context) as server:
        yield server


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_ca_bundle_variables_are_honoured(variable, authority, tls_server, home, monkeypatch):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with authority.cert_pem.tempfile() as bundle:
        monkeypatch.setenv(variable, bundle)
        with manager_of(f"https://{tls_server.host}") as manager:
            assert manager.upload_bytes("bucket", "key", b"abc")


@pytest.mark.parametrize("size", [1, 9 << 20], ids=["one-request", "several-parts"])
def test_payload_is_not_hashed_for_the_signature_over_https(size, authority, home, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as bundle, ScriptedServer(tls=context) as server:
        monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
        with manager_of(server.url) as manager:
            manager.store("bucket", "key", bytes(size))
    bodies = [request for request in server.requests if request.operation in ("PutObject", "UploadPart")]
    assert bodies
    assert {request.headers["x-amz-content-sha256"] for request in bodies} == {"UNSIGNED-PAYLOAD"}


def test_untrusted_certificate_is_rejected(tls_server, home):
    untrusted = pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED")
    with manager_of(f"https://{tls_server.host}") as manager, untrusted:
        manager.store("bucket", "key", b"abc")


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize("call", ["fetch", "store", "list"])
def test_redirect_for_a_wrong_region_reaches_no_other_host(status, call, folder):
    answer = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message><Region>eu-west-9</Region></Error>"
    with Recorder() as other:
        headers = {"x-amz-bucket-region": "eu-west-9", "Location": f"http://{other.host}/bucket/key"}
        with Recorder(status, headers, answer) as server, manager_of(f"http://{server.host}") as manager:
            calls = {
                "fetch": lambda: manager.fetch("bucket", "key"),
                "store": lambda: manager.store("bucket", "key", b"abc"),
                "list": lambda: manager.download_client.list_objects_v2(Bucket="bucket"),
            }
            with pytest.raises(NotAStoreError, match=f"redirects to http://{other.host}: .* into host"):
                calls[call]()
    assert len(server.requests) == 1
    assert not other.requests


def test_bucket_that_names_another_host_is_rejected():
    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/mine"
    with manager_of("http://store.invalid") as manager, pytest.raises(CDNError, match="not the given host"):
        manager.download_client.get_object(Bucket=arn, Key="key")


def test_config_of_the_caller_is_merged_deeply():
    mine = Config(s3={"payload_signing_enabled": False}, read_timeout=7)
    with manager_of("http://127.0.0.1:9", config=mine) as manager:
        merged = manager.download_client.meta.config
    assert merged.read_timeout == 7
    assert merged.connect_timeout == 10
    assert merged.s3["payload_signing_enabled"] is False
    assert merged.s3["addressing_style"] == "path"


def test_config_of_the_caller_cannot_turn_off_what_keeps_transfers_correct():
    mine = Config(
        s3={"addressing_style": "virtual", "use_accelerate_endpoint": True},
        request_checksum_calculation="when_supported",
        response_checksum_validation="when_supported",
    )
    with manager_of("http://127.0.0.1:9", config=mine) as manager:
        merged = manager.upload_client.meta.config
    assert merged.request_checksum_calculation == "when_required"
    assert merged.response_checksum_validation == "when_required"
    assert merged.s3["addressing_style"] == "path"
    assert merged.s3["use_accelerate_endpoint"] is False


@pytest.mark.parametrize("name", ["config", "transfer_config"])
def test_configuration_of_the_wrong_type_is_a_type_error(name):
    with pytest.raises(TypeError, match=f"^{name} must be a"):
        manager_of("http://127.0.0.1:9", **{name: {"read_timeout": 7}})


def test_client_is_made_without_a_look_at_the_services_other_than_s3(monkeypatch):
    def search(*_):
        raise AssertionError

    monkeypatch.setattr("botocore.loaders.Loader.list_available_services", search)
    with CDNManager(CDNCredentials("http://127.0.0.1:1", *CREDENTIALS)) as manager:
        assert manager.download_client.can_paginate("list_objects_v2")
        assert manager.download_client.waiter_names


def test_model_of_s3_is_the_one_that_boto3_reads():
    ours, theirs = manager_of("http://127.0.0.1:9"), boto3.session.Session("key", "secret", region_name="us-east-1")
    with ours as manager:
        model = manager.download_client.meta.service_model
        expected = theirs.client("s3").meta.service_model
        assert model.metadata == expected.metadata
        assert model.operation_names == expected.operation_names
        for name in model.operation_names:
            one, other = model.operation_model(name), expected.operation_model(name)
            for shape in ("input_shape", "output_shape"):
                assert repr(getattr(one, shape)) == repr(getattr(other, shape))
                assert list(getattr(getattr(one, shape), "members", ())) == list(
                    getattr(getattr(other, shape), "members", ())
                )


def test_only_the_first_client_reads_the_service_model(monkeypatch):
    manager_of("http://127.0.0.1:9").close()
    read = []
    monkeypatch.setattr("cdn_engine.clients._ModelFiles.load_file", lambda _, path: read.append(path))
    manager_of("http://127.0.0.1:9").close()
    assert read == []


@pytest.mark.parametrize("call", ["upload_file", "download_fileobj", "copy"])
def test_transfer_methods_of_boto3_never_use_the_crt_client(call, monkeypatch, folder):
    seen = []

    def note(client, config, *_):
        seen.append(config.preferred_transfer_client)
        raise InterruptedError

    monkeypatch.setattr("boto3.s3.inject.create_transfer_manager", note)
    monkeypatch.setattr("boto3.s3.transfer.create_transfer_manager", note)
    arguments = {
        "upload_file": ("file", "bucket", "key"),
        "download_fileobj": ("bucket", "key", io.BytesIO()),
        "copy": ({"Bucket": "bucket", "Key": "key"}, "bucket", "key2"),
    }[call]
    with manager_of("http://127.0.0.1:9") as manager, pytest.raises(InterruptedError):
        getattr(manager.upload_client, call)(*arguments)
    assert seen == ["classic"]


@pytest.mark.parametrize("name", ["store-{}.invalid", "10.1.{}.1"], ids=["by-name", "by-address"])
def test_plain_http_to_another_machine_is_logged_once(name, log_lines):
    host = "http://" + name.format(random.randrange(256))
    for _ in range(3):
        manager_of(host).close()
    assert len([line for line in log_lines() if "plain http" in line]) == 1


@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "https://store.invalid"])
def test_plain_http_to_this_machine_is_not_logged(host, log_lines):
    manager_of(host).close()
    assert not log_lines()
