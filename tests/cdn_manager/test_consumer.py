"""The api_client example, built against the installed wheel in a folder of its own, and used."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from local_store import READER, WRITER

EXAMPLE = Path(__file__).parents[2] / "examples" / "api_client"


@pytest.fixture(scope="module")
def api_client(tmp_path_factory):
    """The folder that the example is installed in, away from this project's source."""
    folder = tmp_path_factory.mktemp("api_client")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns(".venv", "build", "*.egg-info"))
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
            "--no-build-isolation", "--target", folder / "installed", ".",
        ],
        cwd=folder / "source", env={**os.environ, "CFLAGS": "-O0"}, check=True,
    )  # fmt: skip
    return folder / "installed"


@pytest.fixture
def run_script(api_client, store, folder):
    """A function that runs a script in a new process, with ``client``, an ``ApiClient`` of the real store."""
    write_config(folder, store.url, READER, WRITER)
    return functools.partial(run, api_client, folder)


def write_config(folder, url, reader, writer):
    example = (EXAMPLE / "cdn.yaml").read_text()
    for placeholder, value in zip(
        ["https://cdn.example.com", "READ-KEY", "READ-SECRET", "WRITE-KEY", "WRITE-SECRET"],
        [url, *reader, *writer],
        strict=True,
    ):
        assert placeholder in example
        example = example.replace(placeholder, value)
    (folder / "cdn.yaml").write_text(example)


def run(installed, folder, bucket, script):
    """Return what the script printed and logged."""
    prelude = f"""
import logging, os, sys
from pathlib import Path
logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stdout)
logging.getLogger("cdn_manager").setLevel(logging.INFO)
from api_client import ApiClient
client = ApiClient("cdn.yaml")
bucket = {bucket!r}
"""
    answer = subprocess.run(
        [sys.executable, "-c", prelude + script],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


ROUND_TRIP = """
data = os.urandom(20_000_000)
assert client.upload_to_cdn(bucket, "models/big.bin", data) is True
assert client.load_big_file_cdn(bucket, "models/big.bin") == data
assert Path(bucket, "models", "big.bin").read_bytes() == data
"""


def test_consumer_loads_a_big_file_it_has_uploaded(run_script, bucket):
    run_script(bucket, ROUND_TRIP)


@pytest.mark.portable
def test_consumer_builds_and_works_on_this_system(api_client, moto_url, moto_bucket, folder):
    write_config(folder, moto_url, READER, WRITER)
    run(api_client, folder, moto_bucket, ROUND_TRIP)


def test_consumer_downloads_to_the_folder_named_after_the_bucket_and_logs_it(run_script, bucket, folder):
    output = run_script(bucket, """
client.upload_to_cdn(bucket, "small.bin", b"small")
print(client.download_from_cdn(bucket, "small.bin"))
""")  # fmt: skip
    assert (folder / bucket / "small.bin").read_bytes() == b"small"
    assert output.splitlines() == [
        f"api_client: {bucket}/small.bin is published, 5 bytes", f"api_client: {bucket}/small.bin is downloaded", "True"
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "rest"), [(100_000, 100_000 - 3 * 1024), (10, 0)], ids=["large", "tiny"])
def test_consumer_splits_a_resource_and_joins_it_again(run_script, bucket, folder, size, rest):
    run_script(bucket, f"""
data = os.urandom({size})
assert client.upload_big_small_resource("net.onnx", data, bucket) is True
assert os.listdir(bucket) == ["net.onnx.small"]
assert client.load_big_small_resource("net.onnx", bucket) == data
""")  # fmt: skip
    assert (folder / bucket / "net.onnx.big").stat().st_size == rest


def test_consumer_refuses_to_join_halves_of_two_resources(run_script, bucket):
    output = run_script(bucket, """
client.upload_big_small_resource("net.onnx", os.urandom(10_000), bucket)
client.upload_to_cdn(bucket, "net.onnx.big", os.urandom(10_000))
try:
    client.load_big_small_resource("net.onnx", bucket)
except ValueError as error:
    print(error)
""")  # fmt: skip
    assert "do not belong together" in output


def test_consumer_without_permission_gets_false_and_the_reason(api_client, store, bucket, folder):
    write_config(folder, store.url, reader=WRITER, writer=READER)
    output = run(api_client, folder, bucket, """
print(client.upload_to_cdn(bucket, "big.bin", b"data"), client.download_from_cdn(bucket, "big.bin"))
""")  # fmt: skip
    refused, unpublished, *_, answers = output.splitlines()
    assert "403 AccessDenied" in refused
    assert unpublished == f"api_client: {bucket}/big.bin is not published"
    assert answers == "False False"
