"""Signs requests: with AWS Signature Version 4 and a key that is derived once a day, or as botocore does."""

import hashlib
import hmac
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.auth import AUTH_TYPE_MAPS
from botocore.awsrequest import AWSRequest
from botocore.exceptions import UnknownSignatureVersionError

from cdn_engine.wire.keys import Frozen, Hidden

__all__ = ["Request", "Signature", "signature_of"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = frozenset({"user-agent"})  # a proxy may change it
_SESSION_HEADER = "X-Amz-Security-Token"


class Request(NamedTuple):
    """A request to a store.

    Attributes:
        method: HTTP's method.
        url: The URL, encoded as it is sent.
        headers: The headers, but for ``Host``.
        body: The body, unless a payload is sent in its place.
        resource: The path of bucket and key, encoded.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    resource: str


class Signature:
    """AWS Signature Version 4. botocore's takes ten times as long, and derives the key each time.

    Args:
        region: The region that requests are signed for.
        host: The header ``Host``.

    Thread-safety: safe.
    """

    def __init__(self, region: str, host: str) -> None:
        self._region = region
        self._host = host
        self._key: tuple[str, Frozen | None, bytes] = ("", None, b"")  # the day, the keys, and what is derived of them

    def sign(self, request: Request, payload: str, keys: Frozen) -> None:
        """Add to a request's headers what shows that the holder of the keys has made it.

        Args:
            request: The request.
            payload: The SHA-256 of the body in hex, or what S3 takes in its place.
            keys: The keys.
        """
        now, headers = time.gmtime(), request.headers
        day, moment = time.strftime("%Y%m%d", now), time.strftime("%Y%m%dT%H%M%SZ", now)
        headers["X-Amz-Date"], headers["X-Amz-Content-SHA256"] = moment, payload
        if keys.token is not None:
            headers[_SESSION_HEADER] = Hidden(keys.token)
        fields = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        fields["host"] = self._host
        names = sorted(fields.keys() - _UNSIGNED)
        signed = ";".join(names)
        url = urlsplit(request.url)
        query = "&".join(sorted(one if "=" in one else f"{one}=" for one in url.query.split("&") if one))
        lines = [request.method, url.path, query, *(f"{name}:{fields[name]}" for name in names), "", signed, payload]
        scope = f"{day}/{self._region}/s3/aws4_request"
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}".encode()
        derived = self._key
        if derived[0] != day or derived[1] is not keys:
            self._key = derived = day, keys, self._derive(day, keys)
        headers["Authorization"] = (
            f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={signed}, "
            f"Signature={hmac.digest(derived[2], text, 'sha256').hex()}"
        )

    def _derive(self, day: str, keys: Frozen) -> bytes:
        key = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


class _BotocoresSignature:
    """Another version, as botocore makes it."""

    def __init__(self, version: str, region: str) -> None:
        kind = AUTH_TYPE_MAPS.get(version)
        if kind is None:
            raise UnknownSignatureVersionError(signature_version=version)
        self._kind: Any = kind
        self._scope = ("s3", region) if kind.REQUIRES_REGION else ()

    def sign(self, request: Request, payload: str, keys: Frozen) -> None:
        signed = AWSRequest(request.method, request.url, dict(request.headers), auth_path=request.resource)
        self._kind(keys, *self._scope).add_auth(signed)
        for name, value in signed.headers.items():  # each version writes the header's name in its own way
            request.headers[name] = Hidden(value) if name.lower() == _SESSION_HEADER.lower() else value


def signature_of(version: Any, region: str, host: str) -> Signature | _BotocoresSignature | None:
    """Return what signs requests; None if they are not to be signed.

    Args:
        version: What botocore's ``Config`` calls ``signature_version``.
        region: The region that requests are signed for.
        host: The header ``Host``.

    Raises:
        UnknownSignatureVersionError: botocore does not know the version.
    """
    if version is UNSIGNED:
        return None
    if version in ("s3v4", "v4"):
        return Signature(region, host)
    return _BotocoresSignature(version, region)
