"""The requests of transfers to one store with one key pair: built as boto3 builds them, and sent below its client.

That costs a third of what boto3's client does, and none of its retries and events comes in between: an engine decides
itself whether to ask again. What a request looks like, and what an error is called, are botocore's.
"""

import hashlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import unquote

from botocore.exceptions import ClientError, ParamValidationError
from botocore.handlers import decode_list_object_v2
from botocore.parsers import ResponseParserError, RestXMLParser
from botocore.serialize import create_serializer
from botocore.utils import percent_encode, percent_encode_sequence
from botocore.validate import ParamValidator

from cdn_engine.wire.attempt import Attempt
from cdn_engine.wire.keys import EXPIRED, Frozen, Hidden, Keys, NotRenewed, may_be_expired
from cdn_engine.wire.refusal import BEFORE_XML, error_of, raise_if_not_a_store
from cdn_engine.wire.retry import code_of
from cdn_engine.wire.session import Session
from cdn_engine.wire.signature import Request, signature_of

__all__ = ["Payload", "Store"]

_EMPTY = hashlib.sha256().hexdigest()
_UNSIGNED = "UNSIGNED-PAYLOAD"
_METADATA = "x-amz-meta-"

# Characters; what is shorter in a presigned URL, such as a date, is no secret. The shortest signature has 28.
_SHORTEST_SECRET = 20

_UNSENDABLE = re.compile(r"[\r\n\ud800-\udfff]")

_IN_XML = frozenset({"CompleteMultipartUpload", "CreateMultipartUpload", "ListObjectsV2"})

# What the answer to any other request says, by boto3's names.
_FIELDS = {
    "ContentRange": "content-range", "ContentType": "content-type", "ETag": "etag", "VersionId": "x-amz-version-id",
}  # fmt: skip


class Payload(Protocol):
    """What a request carries."""

    def __len__(self) -> int: ...

    def sha256(self) -> str:
        """Return the digest in hex, for the signature."""
        ...

    def pieces(self) -> Iterable[memoryview]:
        """Yield the content, for the connection."""
        ...

    def rewind(self) -> None:
        """Get ready to be sent once more from the beginning."""
        ...


class Store:
    """A store, as the engines see it.

    Args:
        client: A boto3 S3 client of this store, whose model and configuration count here too.
        keys: What signs the requests; None for requests without a signature.
        session: The connections.

    Attributes:
        url: The endpoint.
        keys: See above.
        read_timeout: Seconds to wait for bytes of an answer; None for any time.
        is_signed: True if requests are signed.
        signs_payload: True if signatures cover bodies.

    Thread-safety: safe.
    """

    def __init__(self, client: Any, keys: Keys | None, session: Session) -> None:
        config = client.meta.config
        self.url: str = client.meta.endpoint_url
        self.keys = keys
        self.read_timeout: float | None = config.read_timeout
        self._model = client.meta.service_model
        self._events = client.meta.events
        self._exceptions = client.exceptions
        self._user_agent = config.user_agent
        self._session = session
        self._validator = ParamValidator()
        self._serializer = create_serializer("rest-xml")
        self._parser = RestXMLParser(timestamp_parser=str)  # nobody looks at a time; 1,000 take 50 ms
        self._base = self.url.rstrip("/")
        self._signature = signature_of(config.signature_version, client.meta.region_name, session.host)
        self.is_signed = keys is not None and self._signature is not None
        self.signs_payload = not self.url.startswith("https:") or bool(config.s3.get("payload_signing_enabled"))

    def takes(self, operation: str, argument: str) -> bool:
        """Return True if S3's operation has this argument."""
        return argument in self._model.operation_model(operation).input_shape.members

    def call(
        self, operation: str, arguments: dict[str, Any], running: Attempt, payload: Payload | None = None
    ) -> dict[str, Any]:
        """Make one attempt at a request: with fresh keys once more, if it is refused because they have expired.

        Args:
            operation: S3's name of it.
            arguments: boto3's arguments, but for ``Body``.
            running: The attempt.
            payload: The body; None for none but what the arguments say.

        Returns:
            What boto3 returns, as far as transfers look at it. The ``Body`` of ``GetObject`` is a ``Stream``, which the
            caller closes.

        Raises:
            botocore.exceptions.ClientError: The store refused.
            NotRenewed: So it did, and there are no fresh keys.
            botocore.exceptions.BotoCoreError: The network failed, or an argument is invalid.
            botocore.parsers.ResponseParserError: The answer should be XML, and is none.
            NotAStoreError: It is a redirect, or a web page.
            CDNError: The proxy cannot be used.
            OSError: The CA bundle cannot be read.
        """
        keys = None if self.keys is None else self.keys.frozen
        try:
            return self._ask(operation, arguments, running, payload, keys)
        except ClientError as error:
            if self.keys is None or keys is None or not self._have_expired(error, operation, arguments, running, keys):
                raise
            refusal = error.with_traceback(None)  # its frames hold the payload
        if payload is not None:
            payload.rewind()
        self._renew(keys, refusal, running)
        return self._ask(operation, arguments, running, payload, self.keys.frozen)

    def get(self, url: str, headers: dict[str, str], running: Attempt) -> dict[str, Any]:
        """Make one attempt to get what a URL of this store names, with no signature but its own.

        Args:
            url: The URL.
            headers: Headers beside those of every request.
            running: The attempt.

        Returns: as ``call`` does for ``GetObject``.

        Raises: as ``call`` does.
        """
        request = Request("GET", url, {"User-Agent": self._user_agent, **headers}, b"", "")
        return self._answer(self._model.operation_model("GetObject"), request, (), running, {})

    def _have_expired(
        self, error: ClientError, operation: str, arguments: dict[str, Any], running: Attempt, keys: Frozen
    ) -> bool:
        """Return True if a request was refused because its keys have expired, and there may be fresh ones."""
        if not self.is_signed or self.keys is None or self.keys.renewal is None:
            return False
        if operation == "HeadObject" and may_be_expired(error):
            try:
                self._ask("GetObject", {**arguments, "Range": "bytes=0-0"}, running, None, keys)["Body"].close()
            except ClientError as reason:
                error = reason
        return code_of(error) in EXPIRED

    def _renew(self, refused: Frozen, refusal: ClientError, running: Attempt) -> None:
        assert self.keys is not None
        assert self.keys.renewal is not None
        reason = self.keys.renewal.renew(self.keys, refused, running)
        if reason is not None:
            raise NotRenewed(refusal, reason) from reason

    def _ask(
        self,
        operation: str,
        arguments: dict[str, Any],
        running: Attempt,
        payload: Payload | None,
        keys: Frozen | None,
    ) -> dict[str, Any]:
        context: dict[str, Any] = {}
        model = self._model.operation_model(operation)
        request = self._build(model, dict(arguments), context, payload, keys)
        pieces = payload.pieces() if payload is not None else (request.body,) if request.body else ()
        return self._answer(model, request, pieces, running, context)

    def _answer(
        self, model: Any, request: Request, pieces: Iterable[Any], running: Attempt, context: dict[str, Any]
    ) -> dict[str, Any]:
        reply, body = self._session.exchange(request, pieces, running)
        headers = {name.lower(): value for name, value in reply.headers.raw_items()}
        if model.name == "GetObject" and reply.status < 300:
            return {**_fields_of(reply.status, headers), "Body": body}
        content = _without_query(body.read(), request.url)
        raise_if_not_a_store(request.url, reply.status, reply.headers, content, wants_xml=True)
        said: dict[str, Any] = self._read(model, reply.status, headers, content, context)
        return said

    def _build(
        self,
        model: Any,
        arguments: dict[str, Any],
        context: dict[str, Any],
        payload: Payload | None,
        keys: Frozen | None,
    ) -> Request:
        event = f"before-parameter-build.s3.{model.name}"
        self._events.emit(event, params=arguments, model=model, context=context)
        report = self._validator.validate(arguments, model.input_shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        parts = self._serializer.serialize_to_request(arguments, model)
        _refuse_unsendable(parts["headers"])
        method, body, headers = parts["method"], parts["body"], {"User-Agent": self._user_agent, **parts["headers"]}
        resource, _, query = f"/{percent_encode(arguments['Bucket'])}{parts['url_path']}".partition("?")
        query = "&".join(filter(None, (query, percent_encode_sequence(parts["query_string"]))))
        request = Request(method, f"{self._base}{resource}{query and f'?{query}'}", headers, body, resource)
        if self._signature is not None and keys is not None:
            self._sign(request, self._hash(payload, body), keys)
        if payload is not None or method not in ("GET", "HEAD"):
            headers["Content-Length"] = str(len(body if payload is None else payload))
        return request

    def _sign(self, request: Request, payload: str, keys: Frozen) -> None:
        assert self._signature is not None
        try:
            self._signature.sign(request, payload, keys)
        except UnicodeEncodeError:  # it shows the text that it is about: not raised, nor chained
            is_sendable = False
        except BaseException as error:
            raise error.with_traceback(None) from error.__cause__  # variables of those frames hold the secret
        else:
            is_sendable = True
        if not is_sendable:
            raise ParamValidationError(report="half a character in the keys")
        _refuse_unsendable(request.headers)  # a token that was read with the end of its line

    def _hash(self, payload: Payload | None, body: bytes) -> str:
        if payload is None:
            return hashlib.sha256(body).hexdigest() if body else _EMPTY
        return payload.sha256() if self.signs_payload else _UNSIGNED

    def _read(self, model: Any, status: int, headers: dict[str, str], content: bytes, context: dict[str, Any]) -> Any:
        """Return what an answer says, or raise what it refuses."""
        if status < 300 and content:
            content = content.lstrip(BEFORE_XML)  # with white space, a store at work keeps the connection alive
            if _root_of(content) == "Error":
                status = 500  # it had begun its answer before it failed
        if status >= 300:
            error = error_of(status, content)
            answer = {**_fields_of(status, headers), "Error": error}
            raise self._exceptions.from_code(error["Code"])(answer, model.name)
        if model.name not in _IN_XML:
            return _fields_of(status, headers)
        said = self._parser.parse({"status_code": status, "headers": headers, "body": content}, model.output_shape)
        if model.name == "ListObjectsV2":
            decode_list_object_v2(said, context)  # the event before the request asked for encoded keys
        return said


def _without_query(content: bytes, url: str) -> bytes:
    """Return what a server says, without what gives access to an object: some repeat the URL in their refusals."""
    if isinstance(url, Hidden):
        for field in url.partition("?")[2].split("&"):
            value = field.partition("=")[2]
            if len(value) >= _SHORTEST_SECRET:
                for written in (value, unquote(value), percent_encode(value)):
                    content = content.replace(written.encode(), b"...")
    return content


def _refuse_unsendable(headers: dict[str, str]) -> None:
    """Raise an exception for what would end a header, or has no UTF-8; a metadata value, for example."""
    if _UNSENDABLE.search("".join([*headers.keys(), *headers.values()])):
        names = [name for name, value in headers.items() if _UNSENDABLE.search(name + value)]
        raise ParamValidationError(report=f"a line break, or half a character, in the header {names[0]!a}")


def _root_of(content: bytes) -> str:
    """Return the name of the root of an answer's XML."""
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - as botocore parses it afterwards
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ResponseParserError("the store's answer is not XML, or is cut off") from error
    return root.tag.rpartition("}")[2]


def _fields_of(status: int, headers: dict[str, str]) -> dict[str, Any]:
    """Return what the head of an answer says, as boto3 would."""
    fields: dict[str, Any] = {name: headers[header] for name, header in _FIELDS.items() if header in headers}
    if headers.get("content-length", "").isdecimal():
        fields["ContentLength"] = int(headers["content-length"])
    fields["Metadata"] = {
        name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)
    }
    fields["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": headers, "RetryAttempts": 0}
    return fields
