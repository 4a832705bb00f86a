"""How a payload is cut into parts."""

import pytest
from boto3.s3.transfer import TransferConfig

from cdn_engine.budget import CONNECTIONS
from cdn_engine.upload.layout import Layout

pytestmark = pytest.mark.portable

MIB, GIB = 1 << 20, 1 << 30
SIZES = [1, 8 * MIB, 8 * MIB + 1, 100 * MIB, GIB, 10 * GIB, 79 * GIB, 5000 * GIB]


@pytest.mark.parametrize("in_memory", [True, False], ids=["bytes", "file"])
@pytest.mark.parametrize("size", SIZES)
def test_parts_cover_the_payload_and_no_more(size, in_memory):
    layout = Layout.of(size, in_memory, None)
    assert (layout.count - 1) * layout.part < size <= layout.count * layout.part
    assert layout.count <= 10_000
    assert layout.part >= 5 * MIB
    assert 1 <= layout.connections <= min(CONNECTIONS, layout.count)
    assert not layout.is_callers


@pytest.mark.parametrize("size", SIZES[:-1])
def test_buffers_of_a_file_stay_below_64_mib(size):
    layout = Layout.of(size, False, None)
    assert layout.part * layout.connections <= 64 * MIB


def test_file_so_large_that_its_parts_exceed_the_buffers_goes_over_one_connection():
    assert Layout.of(5000 * GIB, False, None).connections == 1


@pytest.mark.parametrize("size", [9 * MIB, 100 * MIB, 256 * MIB, GIB, 2 * GIB])
def test_payload_in_memory_goes_in_rounds_of_all_connections(size):
    layout = Layout.of(size, True, None)
    assert layout.part == 5 * MIB or layout.count % CONNECTIONS == 0
    assert layout.count <= 2 * CONNECTIONS


def test_parts_in_memory_do_not_grow_beyond_64_mib():
    assert Layout.of(79 * GIB, True, None).part == 64 * MIB


@pytest.mark.parametrize(("size", "connections"), [(9 * MIB, 2), (40 * MIB, 8), (50 * MIB, 10), (GIB, 10)])
def test_file_is_sent_over_as_many_connections_as_there_may_be_buffers(size, connections):
    assert Layout.of(size, False, None).connections == connections


def test_transfer_config_binds():
    config = TransferConfig(multipart_threshold=MIB, multipart_chunksize=2 * MIB, max_concurrency=7)
    layout = Layout.of(20 * MIB, False, config)
    assert (layout.part, layout.count, layout.connections) == (2 * MIB, 10, 7)
    assert layout.is_callers
    assert Layout.threshold(config) == MIB


def test_transfer_config_without_threads_means_one_connection():
    assert Layout.of(GIB, True, TransferConfig(use_threads=False)).connections == 1


def test_parts_grow_where_the_callers_would_be_too_many():
    layout = Layout.of(100 * GIB, True, TransferConfig(multipart_chunksize=5 * MIB))
    assert layout.count <= 10_000
