"""Tells why a store does not accept a key pair: above all, access key and secret in each other's place."""

import re
from collections.abc import Mapping

from botocore.config import Config

from cdn_cli.checks.finding import Finding
from cdn_cli.checks.route import is_private
from cdn_engine.errors import explain
from cdn_engine.wire.retry import KEY_REJECTED, code_of, is_forbidden, status_of
from cdn_manager import TRANSFER_ERRORS, CDNCredentials, CDNManager

__all__ = ["Rejection"]

_UNKNOWN = "InvalidAccessKeyId"
_ADVICE = {
    _UNKNOWN: "correct {role}_access_key",
    "SignatureDoesNotMatch": "correct {role}_access_secret",
    "RequestTimeTooSkewed": "set this machine's clock, or the store's",
    "ExpiredToken": "get a new key pair with its session token",
    "TokenRefreshRequired": "get a new key pair with its session token",
    "InvalidToken": "correct {role}_session_token",
    "InvalidTokenId": "correct {role}_session_token",  # MinIO's
}
_KEY_KNOWN = KEY_REJECTED - {_UNKNOWN}

_SECRET_LENGTH = 40  # characters of the secrets that AWS hands out; access keys are shorter at every store


class Rejection:
    """Explains a store's refusal of a key pair.

    Args:
        credentials: The key pairs.
        exchanged: By role, the same credentials with that pair's access key and secret exchanged, if the pair looks as
            if that were right.
        bucket: The bucket to try them in; None to list the buckets.
        config: How to try them.
    """

    def __init__(
        self,
        credentials: CDNCredentials,
        exchanged: Mapping[str, CDNCredentials],
        bucket: str | None,
        config: Config | None = None,
    ) -> None:
        self._credentials = credentials
        self._exchanged = exchanged
        self._bucket = bucket
        self._config = config
        self._tried: dict[str, Exception | None] = {}

    def finding(self, name: str, role: str, error: Exception, advice: str) -> Finding:
        """Return the finding about a refused request.

        Args:
            name: The finding's name.
            role: Whose pair signed the request: ``downloader`` or ``uploader``.
            error: The refusal.
            advice: What to do, unless the store's error code tells it.
        """
        if role == "downloader" and self._credentials.anonymous:
            advice = "have the bucket made public, or configure a downloader key"
            return Finding(name, "failed", f"without a key: {explain(error)}", advice)
        advice = _ADVICE.get(code_of(error) or "", advice).format(role=role)
        if code_of(error) == _UNKNOWN:
            advice += f", or see whether {role}_access_key and {role}_access_secret stand in each other's place"
        if not self._may_be_exchanged(role, error):
            return Finding(name, "failed", explain(error), advice)
        exchange = f"exchange {role}_access_key and {role}_access_secret in the configuration"
        if not is_private(self._credentials.host):
            # The exchanged request would show the secret to anyone on the way, were the pair right.
            return Finding(name, "failed", f"{explain(error)}; the {role}'s access key is longer than its secret",
                           f"{exchange}, if they stand in each other's place")  # fmt: skip
        if self.is_exchanged(role, error):
            return Finding(name, "failed", f"the {role}'s access key and secret are exchanged", exchange)
        return Finding(name, "failed", explain(error), advice)

    def is_exchanged(self, role: str, refusal: Exception) -> bool:
        """Return True if the store accepts a pair the other way round. Only tried if the pair looks like that.

        Args:
            role: Whose pair.
            refusal: How the store refuses the pair as it is.
        """
        if not self._may_be_exchanged(role, refusal) or not is_private(self._credentials.host):
            return False
        if role not in self._tried:
            self._tried[role] = self._try(role)
        error = self._tried[role]
        if error is None or status_of(error) == 404:
            return True
        return is_forbidden(error) and not is_forbidden(refusal)

    def _may_be_exchanged(self, role: str, refusal: Exception) -> bool:
        """Return True if the looks of the pair and the refusal allow it. A pair that works is never tried out."""
        if role not in self._exchanged or code_of(refusal) in _KEY_KNOWN:
            return False
        if is_forbidden(refusal):  # so does a store refuse what the right key may not do, and some an unknown key
            return len(getattr(self._credentials, f"{role}_access_key")) >= _SECRET_LENGTH
        return status_of(refusal) in (400, 403)  # 400: the other half does not look like an access key

    def without_secrets(self, finding: Finding) -> Finding:
        """Take out the access keys that may be secrets in the wrong place: some stores repeat them in their answers."""
        text = finding.text
        for role in self._exchanged:
            access_key = re.escape(getattr(self._credentials, f"{role}_access_key"))
            text = re.sub(rf"(?<!\w){access_key}(?!\w)", f"({role}_access_key)", text)
        return finding._replace(text=text)

    def _try(self, role: str) -> Exception | None:
        """Return how the store refuses the exchanged pair, None if it does not."""
        with CDNManager(self._exchanged[role], config=self._config) as manager:
            client = manager.upload_client if role == "uploader" else manager.download_client
            try:
                if self._bucket is None:
                    client.list_buckets()
                else:
                    client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            except TRANSFER_ERRORS as error:
                return error
        return None
