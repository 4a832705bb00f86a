"""Tells a key that is not allowed to do something from a key that the store rejects."""

from cdn_engine.wire.retry import code_of, status_of

__all__ = ["is_forbidden"]

# With these codes a store rejects a key as such, whatever it may do.
_KEY_REJECTED = frozenset({"InvalidAccessKeyId", "RequestTimeTooSkewed", "SignatureDoesNotMatch"})


def is_forbidden(error: Exception) -> bool:
    """Return True if the store accepts the key, but does not allow it to do this."""
    return status_of(error) == 403 and code_of(error) not in _KEY_REJECTED
