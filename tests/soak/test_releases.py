"""Publishing and installing at full count: two hundred kills with a reader, and what an update transfers."""

import itertools
import random
import shutil
from pathlib import Path

import pytest
from fault_proxy import Proxy
from killed_releases import KillingStore, Reader, is_killed, is_killed_after, start
from local_store import READER, WRITER
from releases import check_bucket, check_directory, visible_releases, write_release
from scripted_server import ScriptedServer

from cdn_manager import CDNCredentials, CDNManager
from cdn_release import install, prune, publish, rollback

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

SIZE = 12 << 20  # bytes of a large file: more than two parts
RATE = 16 << 20  # bytes a second
KILLS = {"publish": 80, "install": 120}


def test_killed_publish_shows_no_release_that_lacks_a_file(store, admin, bucket, manager, folder, record_property):
    def check(prefix, operations):
        visible, _ = visible_releases(admin, bucket, prefix)
        assert visible.keys() in ({"v1"}, {"v1", "v2"})
        publish(publisher, bucket, new, "v2", prefix=prefix)
        check_bucket(admin, bucket, ["v1", "v2"], prefix)
        unfinished = admin.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
        # An upload whose number did not arrive: `orphans` is for these.
        assert len(unfinished) <= ("CreateMultipartUpload" in operations and "UploadPart" not in operations)
        for one in unfinished:
            admin.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])

    old, new = (write_release(folder / name, name, SIZE) for name in ("v1", "v2"))
    rng, chosen, kills = random.Random(14), 0, 0
    with (
        KillingStore(store.url, rate=RATE, window=64 << 10) as server,
        CDNManager(CDNCredentials(server.url, *READER, *WRITER)) as publisher,  # what is unfinished is known by its URL
    ):
        for after in (False, True):
            for number in itertools.count(1):
                prefix = f"{after}-{number}/"
                publish(manager, bucket, old, "v1", prefix=prefix)
                begin = len(server.requests)
                call = "publish", bucket, new, "v2"
                if not server.is_killed_by(lambda _, count: count == number, after, *call, prefix=prefix):  # noqa: B023
                    break
                chosen += 1
                check(prefix, server.operations[begin:])
        while chosen + kills < KILLS["publish"]:
            prefix = f"random-{kills}/"
            publish(manager, bucket, old, "v1", prefix=prefix)
            begin = len(server.requests)
            process = start("publish", bucket, new, "v2", prefix=prefix, url=server.url)
            kills += is_killed_after(rng.uniform(0.3, 1.5), process)
            check(prefix, server.operations[begin:])
    record_property("killed: publish, at requests + at random", f"{chosen} + {kills}")


@pytest.fixture
def published(admin, bucket, manager, folder):
    for name in ("v1", "v2"):
        publish(manager, bucket, write_release(folder / name, name, SIZE), name)
    return bucket


def test_killed_install_shows_one_release_whole(store, published, manager, folder, record_property):
    """An update, going back, and the removal of the other release: killed at each moment, and at random ones."""
    edge = folder / "edge"
    steps = {
        "install": (manager, published, "v2", edge),
        "rollback": (edge, "v1"),
        "prune": (edge, 1),
    }

    def finish(step):
        {"install": install, "rollback": rollback, "prune": prune}[step](*steps[step])
        check_directory(edge, ["v1"] if step == "prune" else ["v1", "v2"], "v2" if step == "install" else "v1", SIZE)
        reader.looks()

    def begin(step, **options):
        arguments = steps[step][1:] if step == "install" else steps[step]
        return start(step, *arguments, url=link.url if step == "install" else None, **options)

    install(manager, published, "v1", edge)
    rng, kills = random.Random(14), dict.fromkeys([*steps, "at random"], 0)
    with Proxy(store.url, link=RATE) as link, Reader(edge, SIZE) as reader:
        ended = set()
        for number in itertools.count(1):
            for step in steps:
                if step not in ended and is_killed(begin(step, kill_at=number)):
                    kills[step] += 1
                    reader.looks()
                elif step not in ended:
                    ended.add(step)
                finish(step)
            if ended == steps.keys():
                break
        while sum(kills.values()) < KILLS["install"]:
            for step in steps:
                kills["at random"] += is_killed_after(rng.uniform(0.2, 1.5 if step == "install" else 0.4), begin(step))
                reader.looks()
                finish(step)
        looks = reader.looks()
    record_property("killed: " + ", ".join(kills), " + ".join(map(str, kills.values())))
    record_property("... looks at what is current, in seconds", f"{looks['v1'] + looks['v2']}, {looks['seconds']:.0f}")


def test_update_of_a_real_model_transfers_what_changed(store, bucket, folder, real_model, record_property):
    """By the bytes on the wire, and not only by what is reported."""

    def write(name):
        Path(name).mkdir()
        shutil.copy(real_model, Path(name, "model.safetensors"))
        for other in ("special_tokens_map.json", "tokenizer.json", "vocab.txt"):
            Path(name, other).write_text(other * 10_000)
        Path(name, "config.json").write_text(f'{{"version": "{name}"}}\n' * 100)
        return name

    size, changed = real_model.stat().st_size, len('{"version": "v1"}\n') * 100
    with (
        ScriptedServer(store.url, keep_bodies=False) as up,
        Proxy(store.url) as down,
        CDNManager(CDNCredentials(up.url, *READER, *WRITER)) as publisher,
        CDNManager(CDNCredentials(down.url, *READER)) as edge,
    ):
        wire = {"up": [0], "down": [0]}  # bytes of bodies, so far
        for name in ("v1", "v2"):
            published = publish(publisher, bucket, write(name), name)
            wire["up"].append(sum(request.received for request in up.requests))
            installed = install(edge, bucket, name, "models")
            wire["down"].append(down.bytes_sent)
            transferred = size + changed + 10_000 * len("special_tokens_map.jsontokenizer.jsonvocab.txt")
            assert published.transferred == installed.transferred == (transferred if name == "v1" else changed)
        manifest = Path("models/.cdn-release/manifests/v2.json").stat().st_size
    for direction, bytes_so_far in wire.items():
        first, second = (after - before for before, after in itertools.pairwise(bytes_so_far))
        record_property(f"released: bytes on the wire {direction}, v1, v2", f"{first}, {second}")
        assert size < first
        assert second == changed + manifest
    assert Path("models/v1/model.safetensors").samefile("models/v2/model.safetensors")
    record_property("... of them the changed file, the manifest", f"{changed}, {manifest}")
    record_property("... of a release of", f"{installed.size}")
