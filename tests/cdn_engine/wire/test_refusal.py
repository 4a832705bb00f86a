"""What the caller of a boto3 client reads when an answer is a refusal, a redirect or a web page."""

import traceback

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from scripted_server import ScriptedServer, answering

from cdn_engine.errors import explain
from cdn_manager import CDNCredentials, CDNManager, NotAStoreError

pytestmark = pytest.mark.portable

ONCE = Config(retries={"total_max_attempts": 1})
PAGE = b"<html><head><title>%s</title></head><body><center><h1>nginx</h1></center><hr></body></html>"
BROKEN_PAGE = b"<html><head><title>%s</title></head><body><hr><p>nginx"


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def manager(server, folder):
    with CDNManager(CDNCredentials(server.url, "r", "rs", "w", "ws"), ONCE) as made:
        yield made


def calls_of(manager):
    return {
        "fetch": ("GET", lambda: manager.fetch("bucket", "key")),
        "store": ("PutObject", lambda: manager.store("bucket", "key", b"abc")),
        "large": ("CreateMultipartUpload", lambda: manager.store("bucket", "key", bytes(9 << 20))),
        "list": ("GET", lambda: manager.download_client.list_objects_v2(Bucket="bucket")),
        "head": ("HEAD", lambda: manager.download_client.head_object(Bucket="bucket", Key="key")),
        "head-bucket": ("HEAD", lambda: manager.download_client.head_bucket(Bucket="bucket")),
        "delete": ("AbortMultipartUpload", lambda: manager.upload_client.delete_object(Bucket="bucket", Key="key")),
    }


CALLS = ["fetch", "store", "large", "list", "head", "head-bucket", "delete"]
WITH_BODY = ["fetch", "store", "list"]  # what HEAD is answered has none


def failure_of(manager, server, name, *answer, **options):
    """Return what a call raises if all its requests get this answer."""
    operation, call = calls_of(manager)[name]
    server.fault(operation, *[answering(*answer, close=name.startswith("head"), **options)] * 20)
    with pytest.raises((ClientError, NotAStoreError)) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", CALLS)
def test_redirect_names_the_address_after_one_request(manager, server, name, status):
    location = ("Location", "https://name:password@store.example.com:9000/bucket/key?token=t")
    error = failure_of(manager, server, name, status, headers=[location], body=b"")
    assert isinstance(error, NotAStoreError)
    expected = "redirects to https://store.example.com:9000: if that is the store, put this address into host"
    assert str(error).removeprefix("bucket/key: ") == f"{server.url} {expected}"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([], "answers 302, a redirect, without an address to go to: correct host"),
        ([("x-amz-bucket-region", "eu-west-9")], "without an address to go to (the bucket's region is eu-west-9)"),
        ([("Location", "/login?next=x")], "redirects to /login, as no S3 store does"),
        ([("Location", "http://[")], "redirects to another page, as no S3 store does"),
        ([("Location", "ftp://elsewhere/")], "redirects to another page, as no S3 store does"),
        ([("Location", "/\x1b[2J\x9b")], "redirects to /"),
    ],
)
def test_redirect_that_leads_nowhere_says_so(manager, server, headers, words):
    error = failure_of(manager, server, "list", 302, headers=headers)
    assert isinstance(error, NotAStoreError)
    assert words in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize("page", [PAGE, BROKEN_PAGE, b"<?xml version='1.0'?>" + PAGE])
@pytest.mark.parametrize("kind", ["text/html", "application/xml", None])
def test_web_page_in_the_place_of_xml_is_not_a_store(manager, server, page, kind):
    headers = [("Content-Type", kind)] if kind else []
    error = failure_of(manager, server, "list", 200, headers=headers, body=page % b"Welcome to nginx!")
    assert isinstance(error, NotAStoreError)
    assert str(error).endswith("answers with a web page, as no S3 store does: 'Welcome to nginx!'")
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["store", "large"])
@pytest.mark.parametrize("body", [b'{"ok": true}', b"OK", b"\xef\xbb\xbf  text"])
def test_answer_to_an_upload_that_is_not_xml_is_not_a_store(manager, server, name, body):
    operation, call = calls_of(manager)[name]
    server.fault(operation, answering(200, body=body))
    with pytest.raises(NotAStoreError, match="does not answer in XML"):
        call()
    assert len(server.requests) == 1


@pytest.mark.parametrize("space", [b"", b"\xef\xbb\xbf", b"  \r\n"])
def test_xml_may_come_after_a_byte_order_mark_or_white_space(manager, server, space):
    body = space + b"<CompleteMultipartUploadResult><ETag>etag</ETag></CompleteMultipartUploadResult>"
    server.fault("CompleteMultipartUpload", answering(200, body=body))
    assert manager.store("bucket", "key", bytes(9 << 20)).etag == "etag"



def test_web_page_whose_words_cannot_be_printed_is_named_without_them(manager, server):
    error = failure_of(manager, server, "list", 200, body=PAGE % b"\x1b[2J")
    assert str(error).endswith("answers with a web page, as no S3 store does")


@pytest.mark.parametrize("page", [PAGE, BROKEN_PAGE])
@pytest.mark.parametrize("name", WITH_BODY)
def test_title_of_an_error_page_is_the_message(manager, server, name, page):
    error = failure_of(manager, server, name, 413, body=page % b"413 Request Entity Too Large")
    assert error.response["Error"] == {"Code": "413", "Message": "Request Entity Too Large"}
    assert explain(error).startswith("the store answered 413: Request Entity Too Large (a proxy before the store")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Not Implemented"),
        (b"\x00\xff\x1b", "Not Implemented"),
        (b'{"message": "no such route"}', '{"message": "no such route"}'),
        (b"<Fault><String>no such route</String></Fault>", "no such route"),
        (b"<ListBucketResult><Name>", "its XML is malformed or cut off"),
        (b"<Error><Message>no code</Message></Error>", "no code"),
        (b"<Error></Error>", "Not Implemented"),
        (b"<?xml version='1.0' encoding='nonsense'?><Error/>", "its XML is malformed or cut off"),
    ],
)
@pytest.mark.parametrize("name", WITH_BODY)
def test_refusal_that_is_not_s3s_says_what_it_can(manager, server, name, body, message):
    error = failure_of(manager, server, name, 501, body=body)
    assert error.response["Error"] == {"Code": "501", "Message": message}


@pytest.mark.parametrize("name", WITH_BODY)
def test_s3s_refusal_keeps_its_fields(manager, server, name):
    fields = b"<Code>InvalidBucketName</Code><Message>bad\n name</Message><BucketName>b</BucketName>"
    xml = b'<?xml version="1.0"?><ErrorResponse xmlns="urn:s3"><Error>' + fields + b"</Error></ErrorResponse>"
    error = failure_of(manager, server, name, 400, body=xml)
    assert error.response["Error"] == {"Code": "InvalidBucketName", "Message": "bad name", "BucketName": "b"}
    assert "3 to 63 characters" in explain(error)


@pytest.mark.parametrize("name", WITH_BODY)
def test_refusal_is_printable_wherever_it_is_shown(manager, server, name):
    xml = "<Error><Code>No\u202e</Code><Message>\u009b31;5mred \u2066</Message><Resource>\u0085</Resource></Error>"
    error = failure_of(manager, server, name, 403, body=xml.encode())
    shown = [str(error), explain(error), *traceback.format_exception(error)]
    assert all(line.isprintable() for text in shown for line in text.splitlines())
    assert r"\x9b31;5mred" in explain(error)


@pytest.mark.parametrize("body", [b"<Error><Code>A</Code><Code>B</Code></Error>", b"<R><Error/><Error/></R>"])
def test_malformed_refusal_is_still_a_refusal(manager, server, body):
    assert isinstance(failure_of(manager, server, "list", 403, body=body), ClientError)


def test_key_in_a_listing_is_left_as_it_is(manager, server):
    listing = "<ListBucketResult><Contents><Key>a\u009b\u202eb</Key></Contents></ListBucketResult>"
    server.fault("GET", answering(200, body=listing.encode()))
    (found,) = manager.download_client.list_objects_v2(Bucket="bucket")["Contents"]
    assert found["Key"] == "a\u009b\u202eb"


@pytest.mark.parametrize("name", ["fetch", "store", "list"])
def test_wrong_region_is_the_users_to_correct(manager, server, name):
    xml = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-9</Region></Error>"
    error = failure_of(manager, server, name, 400, body=xml)
    assert "correct the region" in explain(error)
    assert len(server.requests) == 1


def test_head_that_is_refused_is_not_followed_by_another(manager, server):
    failure_of(manager, server, "head", 400, body=b"")
    assert len(server.requests) == 1
