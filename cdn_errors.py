"""The failures that botocore has no exception for, and the sentence that explains any failure to a person."""

from botocore.exceptions import ClientError

__all__ = [
    "CDNError",
    "CredentialMissingError",
    "DeadlineExceededError",
    "IntegrityError",
    "ObjectChangedError",
    "ObjectExistsError",
    "OutcomeUnknownError",
    "StalledError",
    "StoreProtocolError",
    "UnsafePathError",
    "explain",
]


class CDNError(Exception):
    """Base of every exception type of this package."""


class CredentialMissingError(CDNError):
    """The key pair that this direction needs was not given."""


class UnsafePathError(CDNError, ValueError):
    """The key or the folder names a place outside the folder, or one that not every system can hold."""


class IntegrityError(CDNError):
    """The bytes are not the ones that the digest promises. Nothing was installed."""


class ObjectChangedError(CDNError):
    """The object, or the source of an upload, kept changing during the transfer."""


class ObjectExistsError(CDNError):
    """An upload with ``overwrite=False`` met an object that is already there."""


class OutcomeUnknownError(CDNError):
    """The store's answer was lost where asking again cannot tell whether the object was stored."""


class StalledError(CDNError, TimeoutError):
    """A connection delivered too few bytes for too long."""


class DeadlineExceededError(CDNError, TimeoutError):
    """The transfer did not end within the total time that the caller allows."""


class StoreProtocolError(CDNError):
    """The store's answer contradicts the request or itself."""


_WHAT_TO_DO = {
    "AccessDenied": "check this key's rights, and that the bucket exists",
    "InvalidAccessKeyId": "the store does not know this access key",
    "NoSuchBucket": "create the bucket, or correct its name",
    "NoSuchKey": "nothing is stored under this key",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "the secret does not belong to this access key",
}


def explain(error):
    """Say in one line why a transfer failed, in the store's own words where it gave some.

    Args:
        error: The exception that ended it.

    Returns:
        A line of text without line breaks.
    """
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        code = answer.get("Code", "?")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        text = f"the store answered {status} {code}: {answer.get('Message') or 'no message'}"
        if code in _WHAT_TO_DO:
            text += f" ({_WHAT_TO_DO[code]})"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.strerror}: {str(error.filename)!r}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())
