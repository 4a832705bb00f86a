"""What a ``Store`` sends is what boto3's own client sends for the same arguments, and stores accept its signature."""

import contextlib
import ssl

import pytest
import trustme
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError, UnknownSignatureVersionError
from local_store import READER, WRITER
from payloads import Content, sha256
from scripted_server import ScriptedServer, answering

from cdn_engine.wire.attempt import Attempt
from cdn_manager import CDNCredentials, CDNManager

PORTABLE = pytest.mark.portable

KEYS = [
    "key", "a b", "ü/漢字", "a//b", "a+b", "a~b", "a%20b", "/a", "a/", "a?b#c", "a&b=c;d", "a'(b)*!", "a/../b", "./a",
    "a\\b", "a:b@c", 'a"<b>|^`{}', "a\nb", "\x7f", "👍",
]  # fmt: skip

# boto3 counts its attempts in two headers, and signs those; the rest is the same.
OF_THE_CLIENT = {"amz-sdk-invocation-id", "amz-sdk-request", "authorization", "x-amz-date", "date", "expect"}

SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
PART = {"UploadId": "a+b/c=", "PartNumber": 7}
PARTS = {"Parts": [{"ETag": '"a&b"', "PartNumber": 1}, {"ETag": '"c"', "PartNumber": 2}]}

REQUESTS = [
    ("GetObject", {"Range": "bytes=0-9", "IfMatch": '"e"', "VersionId": "a+b/c=", **SSE_C}),
    ("GetObject", {"ExpectedBucketOwner": "123456789012", "RequestPayer": "requester"}),
    ("HeadObject", {"VersionId": "null", **SSE_C}),
    ("PutObject", {"Metadata": {"Licence": "mit", "two  words": " a  b "}, "Tagging": "a=b&c=d%20e"}),
    ("PutObject", {"IfNoneMatch": "*", "ContentType": "text/x", "ContentDisposition": "filename=é漢", **SSE_C}),
    ("PutObject", {"CacheControl": "", "StorageClass": "STANDARD", "ContentMD5": "md5"}),
    ("CreateMultipartUpload", {"Metadata": {"sha256": "0"}, "ContentType": "text/x", **SSE_C}),
    ("UploadPart", {**PART, **SSE_C}),
    ("CompleteMultipartUpload", {"UploadId": "a+b/c=", "MultipartUpload": PARTS, "IfNoneMatch": "*"}),
    ("AbortMultipartUpload", {"UploadId": "a+b/c="}),
]


def method_of(operation):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")


def both(server, client, operation, arguments, body=None):
    """Return the request that boto3's client sends, and the one that the ``Store`` sends."""
    with contextlib.suppress(ClientError):
        getattr(client, method_of(operation))(**arguments, **({} if body is None else {"Body": body}))
    with contextlib.suppress(ClientError):
        payload = None if body is None else Content(body)
        answer = client.store.call(operation, arguments, Attempt(), payload)
        if "Body" in answer:
            answer["Body"].close()
    theirs, ours = server.requests[-2:]
    return theirs, ours


def assert_same(theirs, ours):
    def seen(request):
        headers = {name: value for name, value in request.headers.items() if name not in OF_THE_CLIENT}
        return request.method, request.target, bytes(request.body), headers

    assert seen(ours) == seen(theirs)
    assert not {"expect", "transfer-encoding"} & set(ours.headers)


def client_of(stack, url, **config):
    manager = stack.enter_context(CDNManager(CDNCredentials(url, *READER, *WRITER), Config(**config)))
    return manager.upload_client


@pytest.fixture
def opened():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


@PORTABLE
@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_any_key_is_sent_as_boto3_sends_it(key, server, opened):
    client = client_of(opened, server.url)
    assert_same(*both(server, client, "PutObject", {"Bucket": "bucket", "Key": key}, b"abc"))
    assert_same(*both(server, client, "GetObject", {"Bucket": "bucket", "Key": key}))


@PORTABLE
@pytest.mark.parametrize(("operation", "arguments"), REQUESTS)
def test_arguments_are_sent_as_boto3_sends_them(operation, arguments, server, opened):
    client = client_of(opened, server.url)
    body = b"abc" if operation in ("PutObject", "UploadPart") else None
    assert_same(*both(server, client, operation, {"Bucket": "bucket", "Key": "key", **arguments}, body))


@PORTABLE
def test_listing_is_asked_for_as_boto3_asks(server, opened):
    listing = answering(200, body=b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    server.fault("GET", listing, listing)
    arguments = {"Bucket": "bucket", "Prefix": "a b/ü+%", "ContinuationToken": "x&1=+/", "MaxKeys": 10}
    assert_same(*both(server, client_of(opened, server.url), "ListObjectsV2", arguments))


@PORTABLE
@pytest.mark.parametrize("path", ["/", "/storage/v1/s3", "/storage/v1/s3/"])
def test_host_below_a_path_is_asked_there_as_boto3_asks(path, server, opened):
    client = client_of(opened, server.url + path)
    assert_same(*both(server, client, "PutObject", {"Bucket": "bucket", "Key": "a b//c"}, b"abc"))


@PORTABLE
@pytest.mark.parametrize(
    "settings",
    [
        {}, {"user_agent": "mine/1"}, {"user_agent_extra": "more/2"}, {"user_agent_appid": "application"},
        {"user_agent": "mine/1", "user_agent_extra": "more/2", "user_agent_appid": "application"},
    ],
    ids=lambda settings: "+".join(settings) or "default",
)  # fmt: skip
def test_user_agent_is_the_one_of_the_client(settings, server, opened):
    client = client_of(opened, server.url, **settings)
    theirs, ours = both(server, client, "HeadObject", {"Bucket": "bucket", "Key": "key"})
    assert ours.headers["user-agent"] == theirs.headers["user-agent"]


@PORTABLE
def test_ipv6_host_is_asked_as_boto3_asks(opened):
    try:
        server = opened.enter_context(ScriptedServer(address="::1"))
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert_same(*both(server, client_of(opened, server.url), "PutObject", {"Bucket": "bucket", "Key": "key"}, b"abc"))


@PORTABLE
@pytest.mark.parametrize("signing", [False, True])
def test_payload_over_https_is_signed_if_the_caller_wishes(signing, opened, monkeypatch):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("AWS_CA_BUNDLE", opened.enter_context(authority.cert_pem.tempfile()))
    server = opened.enter_context(ScriptedServer(tls=context))
    client = client_of(opened, server.url, s3={"payload_signing_enabled": signing})
    theirs, ours = both(server, client, "PutObject", {"Bucket": "bucket", "Key": "key"}, b"abc")
    assert_same(theirs, ours)
    assert ours.headers["x-amz-content-sha256"] == (sha256(b"abc") if signing else "UNSIGNED-PAYLOAD")


@PORTABLE
@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://store.invalid:80", "store.invalid"), ("http://STORE.invalid:8080/path", "store.invalid:8080"),
        ("http://[2001:db8::1]", "[2001:db8::1]"),
    ],
)  # fmt: skip
def test_host_is_named_as_it_is_signed(url, host, server, opened, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, server.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    client_of(opened, url).store.call("PutObject", {"Bucket": "bucket", "Key": "key"}, Attempt(), Content(b"abc"))
    assert server.requests[0].headers["host"] == host


@PORTABLE
def test_bucket_that_names_another_host_is_asked_for_at_the_given_one(server, opened):
    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/mine"
    client_of(opened, server.url).store.call("PutObject", {"Bucket": arn, "Key": "key"}, Attempt(), Content(b"abc"))
    assert server.requests[0].target == "/arn%3Aaws%3As3%3Aus-east-1%3A123456789012%3Aaccesspoint%2Fmine/key"


# Signatures


@PORTABLE
def test_unsigned_request_has_no_signature(server, opened):
    client = client_of(opened, server.url, signature_version=UNSIGNED)
    theirs, ours = both(server, client, "GetObject", {"Bucket": "bucket", "Key": "key"})
    assert_same(theirs, ours)
    assert not {"authorization", "x-amz-date", "x-amz-content-sha256"} & set(ours.headers)


@PORTABLE
@pytest.mark.parametrize("query", [{}, {"VersionId": "v 1"}], ids=["object", "version"])
def test_first_signature_version_is_the_one_of_boto3(query, server, opened, monkeypatch):
    monkeypatch.setattr("botocore.auth.formatdate", lambda **_: "Thu, 26 Nov 2026 06:00:00 GMT")
    client = client_of(opened, server.url, signature_version="s3")
    theirs, ours = both(server, client, "GetObject", {"Bucket": "bucket", "Key": "a b", **query})
    assert_same(theirs, ours)
    assert ours.headers["authorization"].startswith(f"AWS {WRITER[0]}:")
    assert ours.headers["authorization"] == theirs.headers["authorization"]


@PORTABLE
def test_signature_version_that_nobody_knows_is_named():
    with pytest.raises(UnknownSignatureVersionError, match="v99"):
        CDNManager(CDNCredentials("http://127.0.0.1:9", "r", "rs"), Config(signature_version="v99"))


@pytest.mark.parametrize("key", [key for key in KEYS if "\n" not in key and "\x7f" not in key], ids=ascii)
def test_store_accepts_the_signature_of_any_key(key, manager, bucket):
    outcomes = []
    for content in (b"theirs", b"ours"):
        named = {"Bucket": bucket, "Key": key}
        try:
            if content == b"ours":
                manager.upload_client.store.call("PutObject", named, Attempt(), Content(content))
                outcomes.append(manager.download_client.store.call("GetObject", named, Attempt())["Body"].read())
            else:
                manager.upload_client.put_object(**named, Body=content)
                outcomes.append(manager.download_client.get_object(**named)["Body"].read())
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes[1] == (b"ours" if outcomes[0] == b"theirs" else outcomes[0])


def test_store_refuses_another_secret(store, bucket):
    credentials = CDNCredentials(store.url, "", "", WRITER[0], "another secret")
    with CDNManager(credentials) as manager, pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        manager.upload_client.store.call("PutObject", {"Bucket": bucket, "Key": "key"}, Attempt(), Content(b"abc"))


def test_store_accepts_the_signatures_of_a_multipart_upload(manager, bucket):
    engine, named = manager.upload_client.store, {"Bucket": bucket, "Key": "a b+c"}
    upload = {**named, "UploadId": engine.call("CreateMultipartUpload", named, Attempt())["UploadId"]}
    part = engine.call("UploadPart", {**upload, "PartNumber": 1}, Attempt(), Content(b"abc"))
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    assert engine.call("CompleteMultipartUpload", {**upload, "MultipartUpload": parts}, Attempt())["ETag"]
    listed = manager.download_client.store.call("ListObjectsV2", {"Bucket": bucket, "Prefix": "a b+"}, Attempt())
    assert [(found["Key"], found["Size"]) for found in listed["Contents"]] == [("a b+c", 3)]


# Arguments


@PORTABLE
@pytest.mark.parametrize(
    "arguments",
    [
        {"Bucket": "bucket", "Key": ""}, {"Bucket": "bucket"}, {"Bucket": "a b", "Key": "key"},
        {"Bucket": "bucket", "Key": "key", "Nonsense": 1}, {"Bucket": "bucket", "Key": "key", "Metadata": {"a": "ü"}},
        {"Bucket": "bucket", "Key": "key", "Metadata": {"a": "b\r\nx-evil: 1"}},
        {"Bucket": "bucket", "Key": "key", "Metadata": {"a\nx-evil": "1"}},
        {"Bucket": "bucket", "Key": "key", "ContentType": "\ud800"},
    ],
    ids=["no key", "key missing", "bucket", "unknown", "metadata", "line break", "line break in a name", "no UTF-8"],
)  # fmt: skip
def test_argument_that_cannot_be_sent_is_refused_and_nothing_is_sent(arguments, server, opened):
    client = client_of(opened, server.url)
    with pytest.raises(ParamValidationError):
        client.store.call("PutObject", arguments, Attempt(), Content(b"abc"))
    assert not server.requests


@PORTABLE
def test_arguments_of_the_caller_are_left_as_they_are(server, opened):
    arguments = {"Bucket": "bucket", "Key": "key", "Metadata": {"a": "b"}, **SSE_C}
    before = dict(arguments)
    client_of(opened, server.url).store.call("PutObject", arguments, Attempt(), Content(b"abc"))
    assert arguments == before
