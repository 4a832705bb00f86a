"""How a payload is cut into parts."""

import pytest
from boto3.s3.transfer import TransferConfig

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
    assert 1 <= layout.connections <= min(4, layout.count)


@pytest.mark.parametrize("size", SIZES[:-1])
def test_buffers_of_a_file_stay_below_64_mib(size):
    layout = Layout.of(size, False, None)
    assert layout.part * layout.connections <= 64 * MIB


def test_file_so_large_that_its_parts_exceed_the_buffers_goes_over_one_connection():
    assert Layout.of(5000 * GIB, False, None).connections == 1


@pytest.mark.parametrize(("size", "part"), [(100 * MIB, 8 * MIB), (256 * MIB, 16 * MIB), (10 * GIB, 64 * MIB)])
def test_payload_in_memory_goes_in_about_sixteen_parts(size, part):
    assert Layout.of(size, True, None).part == part


def test_transfer_config_binds():
    config = TransferConfig(multipart_threshold=MIB, multipart_chunksize=2 * MIB, max_concurrency=7)
    layout = Layout.of(20 * MIB, False, config)
    assert (layout.part, layout.count, layout.connections) == (2 * MIB, 10, 7)
    assert Layout.threshold(config) == MIB


def test_transfer_config_without_threads_means_one_connection():
    assert Layout.of(GIB, True, TransferConfig(use_threads=False)).connections == 1


def test_parts_grow_where_the_callers_would_be_too_many():
    layout = Layout.of(100 * GIB, True, TransferConfig(multipart_chunksize=5 * MIB))
    assert layout.count <= 10_000
