"""What a caller's ``TransferConfig`` decides, and how large files are cut without one."""

import time

import pytest
from boto3.s3.transfer import TransferConfig

pytestmark = pytest.mark.portable


def parts_of(server):
    return [request for request in server.requests if request.operation == "UploadPart"]


def make_file(size):
    with open("payload", "wb") as file:
        file.truncate(size)


def test_transfer_config_sets_part_size_and_connections(server, publisher_at):
    config = TransferConfig(multipart_threshold=1 << 20, multipart_chunksize=1 << 20, max_concurrency=2)
    publisher_at(server.url, transfer_config=config).store("bucket", "key", bytes((4 << 20) + 1))
    assert sorted(len(request.body) for request in parts_of(server)) == [1, *[1 << 20] * 4]
    assert len({request.connection for request in parts_of(server)}) <= 2


def test_upload_uses_exactly_as_many_connections_as_transfer_config_says(server, publisher_at, once_parts_arrive):
    config = TransferConfig(multipart_threshold=1 << 20, multipart_chunksize=1 << 20, max_concurrency=8)
    server.fault("UploadPart", *[once_parts_arrive(8)] * 8)
    publisher_at(server.url, transfer_config=config).store("bucket", "key", bytes(32 << 20))
    assert len({request.connection for request in parts_of(server)}) == 8


def test_transfer_config_applies_to_a_file_as_well(server, publisher_at, once_parts_arrive, folder):
    make_file(96 << 20)
    config = TransferConfig(multipart_chunksize=32 << 20, max_concurrency=3)
    server.fault("UploadPart", *[once_parts_arrive(3)] * 3)
    publisher_at(server.url, transfer_config=config).store("bucket", "key", "payload")
    assert len({request.connection for request in parts_of(server)}) == 3


def test_max_bandwidth_limits_the_rate(server, publisher_at):
    began = time.monotonic()
    publisher = publisher_at(server.url, transfer_config=TransferConfig(max_bandwidth=4 << 20))
    publisher.store("bucket", "key", bytes(4 << 20))
    assert time.monotonic() - began > 0.5
