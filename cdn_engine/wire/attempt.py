"""One request through a boto3 client without botocore's retries, which the engines' own retries replace.

An ``Attempt`` passed as the parameter ``Attempt`` of a client method marks the request. Requests without one keep
botocore's retries.
"""

import contextlib
import functools
from typing import Any

__all__ = ["Attempt", "register"]


class Attempt:
    """A request that is made once.

    Attributes:
        raw: The urllib3 response, once the head of the answer has arrived.
    """

    raw: Any = None

    def cut(self) -> None:
        """Wake the thread that reads the answer; to it, the connection ends. Safe from another thread."""
        if self.raw is not None:
            # Raised if the body has been read to its end, or the connection is back in the pool.
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                self.raw.shutdown()


def register(client: Any) -> None:
    """Teach a boto3 client the parameter ``Attempt``."""
    client.meta.events.register("before-parameter-build.s3", _take_attempt)
    client.meta.events.register_first("needs-retry.s3", functools.partial(_end_attempt, client.exceptions))


def _take_attempt(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Move the ``Attempt`` past botocore's validation of the parameters."""
    attempt = params.pop("Attempt", None)
    if attempt is not None:
        context["cdn_attempt"] = attempt


def _end_attempt(
    exceptions: Any,
    response: Any,
    caught_exception: BaseException | None,
    request_dict: dict[str, Any],
    operation: Any,
    **_: Any,
) -> None:
    """Raise the failure of an ``Attempt`` here, before botocore's handlers for retries and region redirects run."""
    attempt = request_dict["context"].get("cdn_attempt")
    if attempt is None:
        return
    if caught_exception is not None:
        raise caught_exception
    http, parsed = response
    if http.status_code >= 300:
        code = parsed.get("Error", {}).get("Code")
        raise exceptions.from_code(code)(parsed, operation.name)
    attempt.raw = http.raw
