"""Publishing and installing, killed at some moments; `make soak` has many more of them."""

import pytest
from killed_releases import KillingStore, Reader, is_killed, start
from releases import check_bucket, check_directory, visible_releases, write_release

from cdn_release import install, prune, publish, rollback

SIZE = 100_000  # bytes of a large file
PUBLISHING = [  # the key that is fatal to put, and whether the store has it then
    ("/objects/", True),
    ("/releases/", False),
    ("/releases/", True),
]
INSTALLING = [  # what is about to be done
    r"replace .*part.*[0-9a-f]{64}",  # a content has arrived
    r"link .*v1/model.bin",
    r"rename .*staging.*v2",
    r"replace .*current",
]


def test_killed_publish_shows_no_release_that_lacks_a_file(moto_url, moto_admin, moto_bucket, moto_manager, folder):
    publish(moto_manager, moto_bucket, write_release(folder / "v1", "v1", SIZE), "v1")
    write_release(folder / "v2", "v2", SIZE)
    with KillingStore(moto_url) as server:
        for key, after in PUBLISHING:
            assert server.is_killed_by(
                lambda request, _: request.method == "PUT" and key in request.target,  # noqa: B023
                after, "publish", moto_bucket, "v2", "v2",
            )  # fmt: skip
            visible, _ = visible_releases(moto_admin, moto_bucket)
            assert visible.keys() == ({"v1", "v2"} if "releases" in key and after else {"v1"})
    publish(moto_manager, moto_bucket, "v2", "v2")
    check_bucket(moto_admin, moto_bucket, ["v1", "v2"])


@pytest.fixture
def published(moto_bucket, moto_manager, folder):
    for name in ("v1", "v2"):
        publish(moto_manager, moto_bucket, write_release(folder / name, name, SIZE), name)
    return moto_bucket


def test_killed_install_shows_one_release_whole(moto_url, published, moto_manager, folder):
    edge = folder / "edge"
    install(moto_manager, published, "v1", edge)
    with Reader(edge, SIZE) as reader:
        for moment in INSTALLING:
            assert is_killed(start("install", published, "v2", edge, url=moto_url, kill_at=moment))
            reader.looks()
        install(moto_manager, published, "v2", edge)
        check_directory(edge, ["v1", "v2"], "v2", SIZE)
        assert is_killed(start("rollback", edge, "v1", kill_at="replace .*current"))
        rollback(edge, "v1")
        reader.looks()  # whoever reads v2 has ended
        assert is_killed(start("prune", edge, 1, kill_at="unlink .*v2.json"))
        prune(edge, 1)
        check_directory(edge, ["v1"], "v1", SIZE)
        reader.looks()
