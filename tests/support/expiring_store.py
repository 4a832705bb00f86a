"""A store whose session tokens expire when a test says so, in the middle of a transfer too."""

from scripted_server import ScriptedServer, answering

from cdn_manager import CDNCredentials


class ExpiringStore(ScriptedServer):
    """Refuses every request that is not signed with the newest token; passes the others on.

    Args:
        upstream: URL of the store to pass requests on to; None to answer them here.
        status: The status of a refusal.
        code: S3's code of a refusal.

    Attributes:
        newest: The number of the token that is valid.
        left: After so many more requests, it is not; None for never.
        refused: The operations that were refused.
        refreshed: How many times fresh credentials were asked for.
    """

    def __init__(self, upstream=None, status=400, code="ExpiredToken"):
        super().__init__(upstream)
        self.status, self.code = status, code
        self.newest, self.left = 1, None
        self.refused, self.refreshed = [], 0

    def _take_action(self, operation):
        if self.left == 0:
            self.newest, self.left = self.newest + 1, None
        if self.requests[-1].headers.get("x-amz-security-token") != f"token-{self.newest}":
            self.refused.append(operation)
            return answering(self.status, self.code, body=b"" if operation == "HEAD" else None)
        if self.left is not None:
            self.left -= 1
        return super()._take_action(operation)

    def credentials(self):
        token = f"token-{self.newest}"
        secrets = (f"read-secret-{self.newest}", "writer", f"write-secret-{self.newest}")
        return CDNCredentials(
            self.url, "reader", *secrets, downloader_session_token=token, uploader_session_token=token
        )

    def refresh(self):
        self.refreshed += 1
        return self.credentials()
