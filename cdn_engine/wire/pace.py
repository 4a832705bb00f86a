"""The bandwidth limit that all connections of one transfer share."""

from collections.abc import Callable

from s3transfer.bandwidth import LeakyBucket, RequestExceededException

__all__ = ["Pace"]


class Pace:
    """A bandwidth limit.

    Args:
        bytes_per_second: The limit; None for no limit.

    Thread-safety: safe.
    """

    def __init__(self, bytes_per_second: int | None) -> None:
        self._bucket = LeakyBucket(bytes_per_second) if bytes_per_second else None

    @property
    def limited(self) -> bool:
        return self._bucket is not None

    def keep(self, amount: int, token: object, wait: Callable[[float], bool]) -> None:
        """Wait until ``amount`` more bytes may pass.

        Args:
            amount: Number of bytes.
            token: Any object that identifies the connection.
            wait: Called with the seconds to wait; returns True to stop waiting.
        """
        while self._bucket is not None:
            try:
                self._bucket.consume(amount, token)
                return
            except RequestExceededException as error:
                if wait(error.retry_time):
                    return
