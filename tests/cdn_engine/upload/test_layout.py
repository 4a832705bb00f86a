"""How a payload is cut into parts."""

import pytest
from boto3.s3.transfer import TransferConfig

from cdn_engine.budget import CONNECTIONS
from cdn_engine.upload.layout import Layout

pytestmark = pytest.mark.portable

MIB, GIB = 1 << 20, 1 << 30
SIZES = [1, 8 * MIB, 8 * MIB + 1, 100 * MIB, GIB, 10 * GIB, 79 * GIB, 5000 * GIB]


@pytest.mark.parametrize("size", SIZES)
def test_parts_cover_the_payload_and_no_more(size):
    layout = Layout.of(size, None)
    assert (layout.count - 1) * layout.part < size <= layout.count * layout.part
    assert layout.count <= 10_000
    assert layout.part >= 5 * MIB
    assert 1 <= layout.connections <= min(CONNECTIONS, layout.count)
    assert not layout.is_callers


@pytest.mark.parametrize("size", [9 * MIB, 100 * MIB, 256 * MIB, 512 * MIB])
def test_payload_goes_in_rounds_of_all_connections(size):
    layout = Layout.of(size, None)
    assert layout.part == 5 * MIB or layout.count % CONNECTIONS == 0
    assert layout.count <= 4 * CONNECTIONS


@pytest.mark.parametrize("size", [9 * MIB, 90 * MIB, 256 * MIB, 320 * MIB])
def test_parts_of_a_payload_that_a_slow_link_may_carry_are_small(size):
    assert Layout.of(size, None).part < 6 * MIB


def test_parts_do_not_grow_beyond_8_mib_unless_there_would_be_too_many():
    assert Layout.of(78 * GIB, None).part == 8 * MIB
    assert Layout.of(5000 * GIB, None).part > 8 * MIB


@pytest.mark.parametrize(("size", "connections"), [(9 * MIB, 2), (40 * MIB, 8), (GIB, CONNECTIONS)])
def test_each_connection_has_a_part_to_send(size, connections):
    assert Layout.of(size, None).connections == connections


def test_transfer_config_binds():
    config = TransferConfig(multipart_threshold=MIB, multipart_chunksize=2 * MIB, max_concurrency=7)
    layout = Layout.of(20 * MIB, config)
    assert (layout.part, layout.count, layout.connections) == (2 * MIB, 10, 7)
    assert layout.is_callers
    assert Layout.threshold(config) == MIB


def test_transfer_config_without_threads_means_one_connection():
    assert Layout.of(GIB, TransferConfig(use_threads=False)).connections == 1


def test_parts_grow_where_the_callers_would_be_too_many():
    layout = Layout.of(100 * GIB, TransferConfig(multipart_chunksize=5 * MIB))
    assert layout.count <= 10_000
