"""What becomes of an answer to one of several requests."""

from types import SimpleNamespace

import pytest

from cdn_engine.download.connection import Connection
from cdn_engine.download.judge import Judge
from cdn_engine.download.settings import Settings
from cdn_engine.download.span import Span
from cdn_engine.download.state import State
from cdn_engine.wire.deadline import Deadline


def test_request_for_the_size_ends_with_the_download_that_it_is_made_for():
    """Also if it is made when the download has just ended."""
    made = []

    class Remote:
        key = "key"

        def head(self, deadline, wait, kept, attempt):
            made.append(attempt())
            raise TimeoutError

    connection = Connection(Span(0, 1, 0.0), 0)
    connection.cut("the download ends")
    answer = {"ETag": '"etag"', "ResponseMetadata": {"HTTPStatusCode": 200}}
    with pytest.raises(TimeoutError):
        Judge(Remote(), State(Settings(), None, Deadline(None)), None).accept(connection, answer)
    with pytest.raises(ConnectionAbortedError):
        made[0].use(SimpleNamespace(running=None))
