"""How a ``Store`` reads answers, whole and broken, and which connections serve another request."""

import gc
import threading
import weakref

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from payloads import Content
from scripted_server import ScriptedServer, answering, answering_at_once

from cdn_engine.wire.attempt import Attempt
from cdn_manager import CDNCredentials, CDNManager, NotAStoreError

pytestmark = pytest.mark.portable

NAMED = {"Bucket": "bucket", "Key": "key"}
UPLOAD = {**NAMED, "UploadId": "id", "MultipartUpload": {"Parts": [{"ETag": '"a"', "PartNumber": 1}]}}
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
ERROR = b"<Error><Code>InternalError</Code><Message>it failed</Message></Error>"


@pytest.fixture
def server():
    with ScriptedServer(window=64 << 10) as running:
        yield running


@pytest.fixture
def client(server):
    once = Config(retries={"total_max_attempts": 1})  # of boto3's own requests
    with CDNManager(CDNCredentials(server.url, "", "", "w", "ws"), once) as manager:
        yield manager.upload_client


@pytest.fixture
def answered(server, client):
    """A function that makes a request to which a server answers with these bytes, or as this action does."""

    def call(answer, operation="GetObject", arguments=NAMED, payload=None, attempt=None):
        names = {"GetObject": "GET", "HeadObject": "HEAD", "ListObjectsV2": "GET"}
        server.fault(names.get(operation, operation), answer if callable(answer) else sending(answer))
        if operation == "ListObjectsV2":
            arguments = {"Bucket": "bucket"}
        return client.store.call(operation, arguments, attempt or Attempt(), payload)

    return call


def sending(*parts, close=False):
    """An action: read the request, then send these bytes."""

    def act(exchange):
        for _ in exchange.read_body():
            pass
        for part in parts:
            exchange.connection.sendall(part)
        if close:
            exchange.close()

    return act


def head(status="200 OK", *fields):
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


def read_piecewise(body):
    """Read a body to its end in pieces of at most three bytes."""
    buffer, content = memoryview(bytearray(3)), b""
    while count := body.readinto(buffer):
        content += buffer[:count]
    body.close()
    return content


def connections(server):
    return [request.connection for request in server.requests]


# Bodies

BODIES = [
    sending(head("200 OK", "Content-Length: 10"), b"0123456789"),
    sending(head("200 OK", "Transfer-Encoding: chunked"), b"4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\nTrailer: a\r\n\r\n"),
    sending(head("200 OK", "Content-Length: 10", "Connection: close"), b"0123456789", close=True),
    sending(head("200 OK"), b"0123456789", close=True),
    sending(b"HTTP/1.0 200 OK\r\n\r\n0123456789", close=True),
    sending(head("100 Continue"), head("200 OK", "Content-Length: 10"), b"0123456789"),
    sending(head("103 Early Hints", "Link: </x>"), head("200 OK", "Content-Length: 10"), b"0123456789"),
    sending(head("200 OK", "content-length:10 "), b"01234", b"56789"),
]
IDS = ["length", "chunked", "closing", "no length", "HTTP 1.0", "100", "103", "other spelling"]


@pytest.mark.parametrize("read", [lambda body: body.read(), read_piecewise], ids=["whole", "piecewise"])
@pytest.mark.parametrize(("answer", "stays"), list(zip(BODIES, [1, 1, 0, 0, 0, 1, 1, 1], strict=True)), ids=IDS)
def test_body_is_read_and_the_connection_serves_another_request_if_it_stays_open(answer, stays, read, answered, server):
    assert read(answered(answer)["Body"]) == b"0123456789"
    assert read(answered(head("200 OK", "Content-Length: 4") + b"next")["Body"]) == b"next"
    assert connections(server) == [1, 1 if stays else 2]


@pytest.mark.parametrize("read", [lambda body: body.read(), read_piecewise], ids=["whole", "piecewise"])
@pytest.mark.parametrize(
    "broken",
    [b"4\r\n01", b"4\r\n0123\r\n", b"x\r\n0123\r\n", b"-4\r\n0123\r\n"],
    ids=["in a chunk", "between chunks", "no number", "negative"],
)
def test_chunks_that_break_off_are_no_whole_body(broken, read, answered):
    body = answered(sending(head("200 OK", "Transfer-Encoding: chunked"), broken, close=True))["Body"]
    with pytest.raises(BotoCoreError):
        read(body)


def test_body_that_breaks_off_is_no_whole_answer(answered, server):
    with pytest.raises(ConnectionClosedError):
        answered(sending(head("200 OK", "Content-Length: 1000"), LISTING, close=True), "ListObjectsV2")


def test_body_that_is_not_read_to_its_end_costs_the_connection(answered, server):
    body = answered(head("200 OK", "Content-Length: 10") + b"0123456789")["Body"]
    body.readinto(memoryview(bytearray(4)))
    body.close()
    body.close()
    answered(head("200 OK", "Content-Length: 0"))["Body"].close()
    assert connections(server) == [1, 2]


@pytest.mark.parametrize("length", ["ten", "-1", "", "1e3", "5, 5"])
def test_invalid_length_is_not_believed(length, answered, server):
    answer = sending(head("200 OK", f"Content-Length: {length}"), b"0123456789", close=True)
    assert "ContentLength" not in (got := answered(answer))
    assert got["Body"].read() == b"0123456789"
    answered(head("200 OK", "Content-Length: 0"))["Body"].close()
    assert connections(server) == [1, 2]


def test_answer_to_head_has_no_body_whatever_its_length_says(answered, server):
    for _ in range(2):
        assert answered(head("200 OK", "Content-Length: 10", 'ETag: "e"'), "HeadObject")["ContentLength"] == 10
    assert connections(server) == [1, 1]


# Refusals


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "NoSuchUpload", "AccessDenied"])
def test_refusal_has_the_type_that_boto3_gives_it(code, answered, client, server):
    with pytest.raises(ClientError) as ours:
        answered(answering(404, code))
    server.fault("GET", answering(404, code))
    with pytest.raises(ClientError) as theirs:
        client.get_object(**NAMED)
    assert type(ours.value) is type(theirs.value) is client.exceptions.from_code(code)
    assert ours.value.operation_name == theirs.value.operation_name
    assert ours.value.response["Error"] == theirs.value.response["Error"]
    status = "HTTPStatusCode"
    assert ours.value.response["ResponseMetadata"][status] == theirs.value.response["ResponseMetadata"][status] == 404


@pytest.mark.parametrize("status", [400, 403, 404, 412, 500, 503])
def test_refusal_of_head_has_the_code_that_boto3_gives_it(status, answered, client, server):
    with pytest.raises(ClientError) as ours:
        answered(head(f"{status} -", "Content-Length: 100"), "HeadObject")
    server.fault("HEAD", sending(head(f"{status} -", "Content-Length: 100")))
    with pytest.raises(ClientError) as theirs:
        client.head_object(**NAMED)
    assert ours.value.response["Error"]["Code"] == theirs.value.response["Error"]["Code"] == str(status)


@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload", "ListObjectsV2"])
@pytest.mark.parametrize("before", [b"", b"   \r\n \n", b"\xef\xbb\xbf"], ids=["plain", "space", "BOM"])
def test_error_in_an_answer_that_began_as_a_success_is_an_error(before, operation, answered):
    arguments, payload = (NAMED, Content(b"abc")) if operation == "PutObject" else (UPLOAD, None)
    with pytest.raises(ClientError, match="InternalError") as caught:
        answered(answering(200, body=before + ERROR), operation, arguments, payload)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_white_space_that_keeps_the_connection_alive_is_passed_over(answered):
    whole = b"<CompleteMultipartUploadResult><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>"
    answer = b" \r\n" * 3 + b'<?xml version="1.0"?>\n' + whole
    assert answered(answering(200, body=answer), "CompleteMultipartUpload", UPLOAD)["ETag"] == '"e"'


@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload", "ListObjectsV2"])
@pytest.mark.parametrize("body", [b"<a", b"<a></b>", b"<?xml version='1.0' encoding='x-none'?><a/>", b"<\x00/>"])
def test_malformed_xml_is_no_answer(body, operation, answered):
    arguments, payload = (NAMED, Content(b"abc")) if operation == "PutObject" else (UPLOAD, None)
    with pytest.raises(ResponseParserError):
        answered(answering(200, body=body), operation, arguments, payload)


def test_text_where_xml_should_be_is_no_store(answered):
    with pytest.raises(NotAStoreError, match=r"does not answer in XML.*hello"):
        answered(answering(200, body=b"hello"), "CompleteMultipartUpload", UPLOAD)


# Connections


def test_answer_before_the_body_is_sent_is_that_of_this_request(answered, server):
    got = answered(answering_at_once(200, [("ETag", '"first"')]), "PutObject", NAMED, Content(bytes(4 << 20)))
    assert got["ETag"] == '"first"'
    got = answered(answering(200, headers=[("ETag", '"second"')], body=b""), "PutObject", NAMED, Content(b"abc"))
    assert got["ETag"] == '"second"'


def test_early_hints_are_not_taken_for_the_answer(answered, server):
    """Whose own answer would be that to the next request, and a refused upload would be reported as stored."""
    gate = threading.Event()

    def hint_first(exchange):
        for _ in exchange.read_body():
            pass
        exchange.connection.sendall(head("103 Early Hints", 'ETag: "hint"'))
        gate.wait(60)
        exchange.answer(403, (), ERROR)

    threading.Timer(0.1, gate.set).start()
    with pytest.raises(ClientError, match="InternalError"):
        answered(hint_first, "PutObject", NAMED, Content(b"abc"))


@pytest.mark.parametrize("line", [b"", b"\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"220 FTP ready\r\n", b"x" * 70_000])
def test_what_is_no_http_is_a_broken_connection(line, answered, server):
    with pytest.raises(ConnectionClosedError):
        answered(sending(line, close=True))
    answered(head("200 OK", "Content-Length: 0"))["Body"].close()
    assert connections(server) == [1, 2]


def test_timeout_of_an_attempt_is_not_left_to_the_next_request(client, server):
    """Not that of boto3's client either, which sets none before it sends."""
    client.store.call("PutObject", NAMED, Attempt(read_timeout=0.05, pulse=lambda: None), Content(b"abc"))

    def slow_to_read(exchange):
        exchange.server.ended.wait(0.5)  # ten times the timeout that it shall not have
        exchange.answer_as_usual()

    server.fault("PutObject", slow_to_read)
    client.put_object(**NAMED, Body=bytes(16 << 20))
    assert connections(server) == [1, 1]


def test_idle_connection_keeps_nothing_of_the_attempt_alive(client):
    class Pulse:
        def __call__(self):
            pass

    pulse = Pulse()
    gone = weakref.ref(pulse)
    client.store.call("PutObject", NAMED, Attempt(pulse=pulse), Content(b"abc"))
    del pulse
    gc.collect()
    assert gone() is None


def test_pool_that_another_thread_closes_is_a_failure_that_is_retried(client, monkeypatch):
    opened = client.store._session._pool()
    opened[0].close()
    monkeypatch.setattr(client.store._session, "_pool", lambda: opened)
    with pytest.raises(BotoCoreError):
        client.store.call("PutObject", NAMED, Attempt(), Content(b"abc"))


def test_read_timeout_ends_a_body_that_does_not_come(answered):
    body = answered(head("200 OK", "Content-Length: 10") + b"0123", attempt=Attempt(read_timeout=0.1))["Body"]
    with pytest.raises(ReadTimeoutError):
        body.read()


def test_threads_share_a_store(client, server):
    together, failures = threading.Barrier(16), []

    def many(number):
        try:
            together.wait()
            for count in range(20):
                named = {"Bucket": "bucket", "Key": f"key-{number}-{count}", "Metadata": {"number": str(number)}}
                client.store.call("PutObject", named, Attempt(), Content(bytes(number)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=many, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len({request.target for request in server.requests}) == 16 * 20
    assert all(request.target.split("-")[1] == request.headers["x-amz-meta-number"] for request in server.requests)
