"""Uploads that are killed, at full count."""

import random
import time

import pytest
from kills import Uploads
from payloads import payload_of, sha256
from scripted_server import ScriptedServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

SIZE = 256 << 20
RATE = 8 << 20  # bytes a second
KILLS = 30
LOST = 8 << 20  # bytes that a kill may cost


@pytest.mark.parametrize("source", ["path", "bytes"])
def test_thirty_kills_cost_little_and_leave_the_object_right(store, admin, bucket, tmp_path, record_property, source):
    def unfinished():
        return admin.list_multipart_uploads(Bucket=bucket).get("Uploads", ())

    payload = payload_of(SIZE)
    path = tmp_path / "payload"
    path.write_bytes(payload)
    rng = random.Random(source)
    with ScriptedServer(upstream=store.url, keep_bodies=False, window=64 << 10, rate=RATE) as server:
        uploads = Uploads(server, bucket, path, source)
        for _ in range(KILLS):
            assert uploads.kill(rng.uniform(0.1, 1.9))
            assert len(unfinished()) <= 1
        began = time.monotonic()
        uploads.finish()
        record_property(f"killed 30 times, {source}: MiB sent of 256", f"{uploads.received >> 20}")
        record_property("... of them by the last one, in seconds", f"{time.monotonic() - began:.0f}")
        assert uploads.received <= SIZE + KILLS * LOST
    assert sha256(admin.get_object(Bucket=bucket, Key="key")["Body"].read()) == sha256(payload)
    assert unfinished() == ()
