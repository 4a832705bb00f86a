"""Uploads whose process is killed; with a write key alone, to the real store."""

import pytest
from kills import Uploads
from payloads import SMALLEST_PART, payload_of, sha256
from scripted_server import ScriptedServer

PARTS = 6
SIZE = PARTS * SMALLEST_PART


@pytest.mark.parametrize("source", ["path", "bytes"])
def test_killed_upload_goes_on_and_leaves_nothing_unfinished(store, admin, bucket, unfinished_uploads, folder, source):
    def hold(exchange):
        while int(exchange.request.query["partNumber"][0]) > allowed and not server.ended.wait(0.01):
            pass
        exchange.answer_as_usual()

    path = folder / "payload"
    path.write_bytes(payload_of(SIZE))
    with ScriptedServer(upstream=store.url, keep_bodies=False, window=64 << 10) as server:
        server.fault("UploadPart", *[hold] * 100)
        uploads = Uploads(server, bucket, path, source)
        for allowed in (1, 2, 4):
            uploads.kill_with(allowed)
            assert len(unfinished_uploads(bucket)) == 1
        allowed, start = PARTS, len(server.requests)
        uploads.finish()
        last = [request for request in server.requests[start:] if request.operation == "UploadPart"]
        assert sorted(request.query["partNumber"] for request in last) == [["5"], ["6"]]
        assert server.operations.count("CreateMultipartUpload") == 1
    assert sha256(admin.get_object(Bucket=bucket, Key="key")["Body"].read()) == sha256(path.read_bytes())
    assert unfinished_uploads(bucket) == []
