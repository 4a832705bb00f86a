"""The failures that botocore has no exception for, and one line of text for any failure."""

import errno

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from cdn_engine.network_errors import in_words

__all__ = [
    "TRANSFER_ERRORS",
    "CDNError",
    "CredentialMissingError",
    "DeadlineExceededError",
    "IntegrityError",
    "NotAStoreError",
    "ObjectChangedError",
    "ObjectExistsError",
    "OutcomeUnknownError",
    "StalledError",
    "StoreProtocolError",
    "URLRefusedError",
    "UnsafePathError",
    "explain",
    "lacks_descriptors",
    "printable",
]


class CDNError(Exception):
    """Base class of this package's exceptions.

    Attributes:
        subject: The object that the error is about, as ``bucket/key``; empty if it is about none. ``str`` puts it
            before the text, and escapes in both whatever could forge a line of a log.
    """

    subject = ""

    def __str__(self) -> str:
        text = super().__str__()
        return printable(f"{self.subject}: {text}" if self.subject else text)


class CredentialMissingError(CDNError):
    """The key pair for this direction is missing."""


class UnsafePathError(CDNError, ValueError):
    """The key or folder leads outside the target folder, or is a name that some system cannot hold."""


class IntegrityError(CDNError):
    """The content does not match the expected digest. Nothing was installed."""


class ObjectChangedError(CDNError):
    """The object, or the source of an upload, kept changing during the transfer."""


class ObjectExistsError(CDNError):
    """``overwrite=False``, and the object already exists."""


class OutcomeUnknownError(CDNError):
    """The store's answer was lost, and a retry cannot tell whether the object was stored."""


class StalledError(CDNError, TimeoutError):
    """A connection was too slow for too long."""


class DeadlineExceededError(CDNError, TimeoutError):
    """The transfer did not finish within the caller's deadline."""


class StoreProtocolError(CDNError):
    """The store's answer contradicts the request or itself."""


class NotAStoreError(CDNError):
    """What answers at ``host`` is not the store: a web page in the place of an object, or a redirect elsewhere."""


class URLRefusedError(CDNError):
    """A presigned URL has expired, or the store does not accept it."""


# Everything that a transfer raises: our own errors, the store's refusals, the network's failures and the disk's.
TRANSFER_ERRORS: tuple[type[Exception], ...] = (CDNError, ClientError, BotoCoreError, HTTPError, OSError)

_ADVICE = {
    "407": "the proxy wants a user name and a password: http://NAME:PASSWORD@HOST:PORT",
    "413": "a proxy before the store limits the size of requests",
    "AccessDenied": "check what this key may do, and that the bucket exists",
    "AuthorizationHeaderMalformed": "correct the region in the credentials",
    "ExpiredToken": "get fresh keys; in Python, CDNManager(refresh=...) does so",
    "EntityTooLarge": "the store takes no object or part of this size",
    "IllegalLocationConstraintException": "correct the region in the credentials",
    "InvalidAccessKeyId": "the store does not know this access key",
    "InvalidBucketName": "a bucket's name has 3 to 63 characters: a-z, 0-9, hyphens and dots",
    "InvalidObjectState": "the object is archived: restore it first",
    "MethodNotAllowed": "what answers may be no S3 store: check host",
    "NoSuchBucket": "create the bucket, or correct its name",
    "NoSuchKey": "no object has this key",
    "PermanentRedirect": "the bucket is elsewhere: correct host and region",
    "QuotaExceeded": "delete objects, or have the quota raised",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "the secret does not belong to this access key",
}


def lacks_descriptors(error: BaseException) -> bool:
    """Return True if the process, or the system, has as many open files and connections as it may."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def explain(error: BaseException) -> str:
    """Say in one line why a transfer failed, in the store's own words where it gave some.

    Args:
        error: The exception that ended the transfer.

    Returns:
        One printable line. It leaves out ``CDNError.subject``: whoever logs it names bucket and key once.

    Thread-safety: safe.
    """
    if isinstance(error, ClientError):
        text = _refusal(error)
    elif isinstance(error, BotoCoreError | HTTPError | ResponseParserError):
        text = in_words(error)
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.strerror}: {str(error.filename)!r}"
    else:
        text = Exception.__str__(error) if isinstance(error, CDNError) else str(error)
    return printable(" ".join(text.split())) or type(error).__name__


def _refusal(error: ClientError) -> str:
    answer = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
    code, message = str(answer.get("Code", "?")), answer.get("Message")
    text = f"the store answered {status}" if code == str(status) else f"the store answered {status} {code}"
    if message:
        text += f": {message}"
    return f"{text} ({_ADVICE[code]})" if code in _ADVICE else text


def printable(text: str) -> str:
    """Escape whatever could control a terminal or forge a line of a log in text from a store, a key or a file name.

    Thread-safety: safe.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
