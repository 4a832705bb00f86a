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

__all__ = ["Request", "Signature", "signature_of"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = frozenset({"user-agent"})  # a proxy may change it


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
    """AWS Signature Version 4 for one key pair. botocore's takes ten times as long, and derives the key each time.

    Args:
        credentials: The key pair: botocore's ``Credentials``.
        region: The region that requests are signed for.
        host: The header ``Host``.

    Thread-safety: safe.
    """

    def __init__(self, credentials: Any, region: str, host: str) -> None:
        self._credentials = credentials
        self._region = region
        self._host = host
        self._key: tuple[str, bytes] = ("", b"")  # the day, and the key derived for it

    def sign(self, request: Request, payload: str) -> None:
        """Add to a request's headers what shows that the holder of the key pair has made it.

        Args:
            request: The request.
            payload: The SHA-256 of the body in hex, or what S3 takes in its place.
        """
        now, headers = time.gmtime(), request.headers
        day, moment = time.strftime("%Y%m%d", now), time.strftime("%Y%m%dT%H%M%SZ", now)
        headers["X-Amz-Date"], headers["X-Amz-Content-SHA256"] = moment, payload
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
        if self._key[0] != day:
            self._key = day, self._derive(day)
        headers["Authorization"] = (
            f"{_ALGORITHM} Credential={self._credentials.access_key}/{scope}, SignedHeaders={signed}, "
            f"Signature={hmac.digest(self._key[1], text, 'sha256').hex()}"
        )

    def _derive(self, day: str) -> bytes:
        key = f"AWS4{self._credentials.secret_key}".encode()
        for part in (day, self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


class _BotocoresSignature:
    """Another version, as botocore makes it."""

    def __init__(self, version: str, credentials: Any, region: str) -> None:
        kind = AUTH_TYPE_MAPS.get(version)
        if kind is None:
            raise UnknownSignatureVersionError(signature_version=version)
        self._auth = kind(credentials, "s3", region) if kind.REQUIRES_REGION else kind(credentials)

    def sign(self, request: Request, payload: str) -> None:
        signed = AWSRequest(request.method, request.url, dict(request.headers), auth_path=request.resource)
        self._auth.add_auth(signed)
        request.headers.update(signed.headers.items())


def signature_of(version: Any, credentials: Any, region: str, host: str) -> Signature | _BotocoresSignature | None:
    """Return what signs requests; None if they are not to be signed.

    Args:
        version: What botocore's ``Config`` calls ``signature_version``.
        credentials: The key pair: botocore's ``Credentials``.
        region: The region that requests are signed for.
        host: The header ``Host``.

    Raises:
        UnknownSignatureVersionError: botocore does not know the version.
    """
    if version is UNSIGNED:
        return None
    if version in ("s3v4", "v4"):
        return Signature(credentials, region, host)
    return _BotocoresSignature(version, credentials, region)
