"""The answer to a request, as the standard library reads it."""

import http.client
from typing import Any

__all__ = ["Reply"]


class Reply(http.client.HTTPResponse):
    """The head and the body of an answer; interim answers (RFC 9110, 15.2) are passed over.

    The standard library passes over 100 only, and would take 103 for the answer, and the answer for that to the next
    request.
    """

    headers: Any
    msg: Any

    def begin(self) -> None:
        super().begin()
        while self.status < 200:
            self.headers = self.msg = None
            super().begin()
