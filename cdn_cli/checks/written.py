"""Keeps track of the objects that the check writes, and deletes them."""

import contextlib
import secrets
from collections.abc import Iterator

from cdn_cli.checks.finding import Finding
from cdn_engine.wire.retry import status_of
from cdn_manager import TRANSFER_ERRORS, CDNManager

__all__ = ["CONTENT", "Written"]

CONTENT = b"cdn-manager check"  # long enough for a range


class Written:
    """The objects that the check has written, or may have.

    Args:
        manager: Its clients delete the objects.
        bucket: The bucket they are in.

    Attributes:
        name: A key that nobody else uses.
    """

    def __init__(self, manager: CDNManager, bucket: str) -> None:
        self.name = f"cdn-check-{secrets.token_hex(8)}"
        self._clients = [client for client in (manager.upload_client, manager.download_client) if client is not None]
        self._bucket = bucket
        self._keys: list[str] = []

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[None]:
        """Remember an object that the block writes, unless the store refuses it."""
        self._keys.append(key)
        try:
            yield
        except TRANSFER_ERRORS as error:
            # Without an answer, or with a gateway's 5xx, the store may have the object all the same.
            if 400 <= (status_of(error) or 0) < 500:
                self._keys.remove(key)
            raise

    def delete(self) -> list[Finding]:
        """Delete the objects. Return one finding about that, or none if nothing was written."""
        left = [key for key in self._keys if not self._delete_one(key)]
        if left:
            return [Finding("removed", "skipped", f"left in {self._bucket!r}: {', '.join(left)}", "delete it")]
        return [Finding("removed", "ok", "the check left nothing behind")] if self._keys else []

    def _delete_one(self, key: str) -> bool:
        for client in self._clients:
            with contextlib.suppress(*TRANSFER_ERRORS):
                client.delete_object(Bucket=self._bucket, Key=key)
                return True
        return False
