"""Power cuts at every moment of an install, on the file systems that Linux machines have."""

import pytest
from file_systems import Disk, skip_without
from killed_releases import start
from releases import check_directory, current_name, fault_in, files_of, write_release

from cdn_release import ReleaseError, current, install, prune, publish, rollback, verify

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

# What is current before each step and after it.
BEFORE = {"first install": None, "update": "v1", "rollback": "v2", "prune": "v1"}
AFTER = {"first install": "v1", "update": "v2", "rollback": "v1", "prune": "v1"}
CALLS = {"rollback": rollback, "prune": prune}


@pytest.fixture
def published(bucket, manager, folder):
    for name in ("v1", "v2"):
        publish(manager, bucket, write_release(folder / name, name), name)
    return bucket


def moments(process):
    """Yield what a process is about to do, each time that it waits."""
    with process:
        for line in process.stdout:
            yield line.rstrip()
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == 0


def look(directory, possible):
    """Return what is current. Assert that it is one of these, and that each release that is there is whole."""
    name = current_name(directory)
    assert name in possible
    for found in filter(lambda name: (directory / name).exists(), ("v1", "v2")):
        assert fault_in(directory / found, files_of(found)) is None
        assert verify(directory / found).whole
    if name:
        assert current(directory) == (directory / name).resolve()
    return name


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def disk(request, tmp_path):
    skip_without(request.param, "xfs")
    with Disk(tmp_path, request.param) as made:
        yield made


@pytest.mark.parametrize("committed", [False, True], ids=["", "names-committed"])
def test_power_cut_leaves_the_old_release_or_the_new_one(
    committed, disk, store, published, manager, request, record_property
):
    """With ``committed``, all changes of names are on the disk at each moment, and of data only what was synced."""

    def arguments(step, directory):
        """Return what to call: its name, and its arguments without the manager."""
        if step in ("rollback", "prune"):
            return step, directory, "v1" if step == "rollback" else 1
        return "install", published, AFTER[step], directory

    def finish(step, directory):
        if step in ("rollback", "prune"):
            name, *rest = arguments(step, directory)
            CALLS[name](*rest)
        install(manager, published, AFTER[step], directory)  # which removes what a power cut has brought back
        check_directory(directory, ["v1", "v2"] if step in ("update", "rollback") else ["v1"], AFTER[step])

    edge = disk.path / "edge"
    cuts = dict.fromkeys(AFTER, 0)
    for step in AFTER:
        possible = {BEFORE[step], AFTER[step]}
        for _ in moments(start(*arguments(step, edge), url=store.url, stops=True)):
            if committed:
                disk.commit()
            with disk.cut() as cut:
                if look(cut / edge.name, possible) == AFTER[step]:
                    possible = {AFTER[step]}  # from now on
                finish(step, cut / edge.name)
            cuts[step] += 1
        with disk.cut() as cut:  # what has ended lasts
            assert look(cut / edge.name, {AFTER[step]})
        finish(step, edge)
    record_property(f"power cuts: {request.node.callspec.id}", ", ".join(f"{n} in {step}" for step, n in cuts.items()))


def test_install_that_does_not_sync_is_found_out(disk, store, published):
    """Which shows that these power cuts are some."""

    def is_whole(directory):
        try:
            look(directory, {None, "v1"})
        except (AssertionError, OSError, ReleaseError):
            return False
        return True

    edge = disk.path / "edge"
    found = []
    for _ in moments(start("install", published, "v1", edge, url=store.url, stops=True, syncs=False)):
        disk.commit()
        with disk.cut() as cut:
            found.append(is_whole(cut / edge.name))
    assert False in found
