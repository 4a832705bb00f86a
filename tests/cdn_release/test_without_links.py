"""Releases on a file system that knows neither links nor permissions: exFAT, as on memory cards."""

import pytest
from file_systems import new_file_system, skip_without
from releases import current_name, write_release

from cdn_release import current, install, prune, publish, rollback, verify


@pytest.fixture
def card(tmp_path):
    skip_without("exfat")
    with new_file_system(tmp_path, "exfat") as path:
        yield path


def test_card_without_links_has_a_file_that_names_the_current_release(card, moto_bucket, moto_manager, folder):
    edge = card / "models"
    for name in ("v1", "v2"):
        publish(moto_manager, moto_bucket, write_release(folder / name, name), name)
        install(moto_manager, moto_bucket, name, edge)
        assert (edge / "current").read_text() == f"{name}\n"
        assert current(edge) == edge / name
        assert verify(edge / "current").whole
    assert install(moto_manager, moto_bucket, "v2", edge).skipped
    rollback(edge)
    assert current_name(edge) == "v1"
    assert prune(edge, 1) == ["v2"]
    assert verify(edge / "v1").whole
    assert sorted(path.name for path in edge.iterdir()) == [".cdn-release", "current", "v1"]
