"""Tests the command on a terminal, against a real store: what a user sees, and how Ctrl-C ends it."""

import filecmp
import os
import re
import signal
from pathlib import Path

import pytest
from command import write_config, write_files
from local_store import model_file
from terminal import Relay, Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX pseudo-terminals")

SOME_OF_THE_MODEL = r"model\.safetensors \S+ +[1-9]\d*\.\d/90\.9 MB"


@pytest.fixture
def relay(store):
    """A slow connection to the store, which cdn.yaml names as the host."""
    made = Relay(store.url)
    write_config(made.url)
    yield made
    made.close()


@pytest.fixture
def release():
    """A directory with 200 small files and a real model."""
    path = Path("release")
    for number in range(200):
        write_files(path / f"part{number % 10}", **{f"{number:03}.bin": os.urandom(3000 + number)})
    (path / "model.safetensors").symlink_to(model_file())
    return path


def assert_same_trees(left, right):
    compared = filecmp.dircmp(left, right, hide=[], ignore=[])
    assert not compared.left_only + compared.right_only + compared.funny_files
    assert filecmp.cmpfiles(left, right, compared.common_files, shallow=False)[1:] == ([], [])
    for name in compared.common_dirs:
        assert_same_trees(Path(left, name), Path(right, name))


def test_directory_is_uploaded_and_downloaded_with_progress_bars(store, bucket, release):
    write_config(store.url)
    upload = Terminal("upload", bucket, str(release))
    assert upload.wait() == 0
    assert re.search(SOME_OF_THE_MODEL, upload.screen)
    assert re.search(r"\d+ of 201 files .+/91\.5 MB", upload.screen)
    assert upload.screen.rstrip().splitlines()[-1].startswith("uploaded 201 files, 91.5 MB in ")
    download = Terminal("download", bucket, "--prefix", "", "--into", "elsewhere", columns=42)
    assert download.wait() == 0
    *drawn, summary = re.split(r"[\r\n]+", download.screen.rstrip())
    assert any("/91.5 MB" in line for line in drawn)
    assert max(map(len, drawn)) <= 42
    assert summary.startswith("downloaded 201 files, 91.5 MB in ")
    assert_same_trees(release, "elsewhere")


def test_download_resumes_after_two_interruptions_by_ctrl_c(relay, bucket, manager, release):
    model = release / "model.safetensors"
    manager.store(bucket, "model.safetensors", model)
    command = ["download", bucket, "model.safetensors", "--into", "."]
    for _ in range(2):
        download = Terminal(*command, patient=True)
        download.read_until(SOME_OF_THE_MODEL)
        download.press_ctrl_c()
        assert download.wait() == 130
        assert "cdn-manager: interrupted with 0 of 1 done; " in download.screen
        assert "run the command again to resume" in download.screen
        assert "Traceback" not in download.screen
        assert not Path("model.safetensors").exists()
    last = Terminal(*command)
    last.read_until("MB resumed")
    relay.pause = 0
    assert last.wait() == 0
    assert re.search(r"downloaded 1 file, 90\.9 MB in .+, \d+\.\d MB from an earlier run", last.screen)
    assert filecmp.cmp(model, "model.safetensors", shallow=False)


def test_upload_interrupted_before_a_part_has_arrived_leaves_nothing_unfinished(relay, bucket, admin, release):
    upload = Terminal("upload", bucket, str(release), "--jobs", "2", patient=True)
    upload.read_until(SOME_OF_THE_MODEL)
    upload.press_ctrl_c()
    assert upload.wait() == 130
    assert "what the store has is kept: run the command again to go on" in upload.screen
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=bucket)


def test_upload_interrupted_by_ctrl_c_goes_on_in_the_next_run(relay, bucket, admin, state_folder):
    with open("model", "wb") as file:
        file.truncate(256 << 20)
    upload = Terminal("upload", bucket, "model", patient=True)
    while '"arrived": [[' not in "".join(path.read_text() for path in state_folder.glob("uploads/*.json")):
        upload.read_more()
    relay.flows.clear()
    upload.press_ctrl_c()
    assert upload.wait() == 130
    assert "interrupted with 0 of 1 done; what the store has is kept" in upload.screen
    relay.flows.set()
    last = Terminal("upload", bucket, "model")
    last.read_until("MB resumed")
    relay.pause = 0
    assert last.wait() == 0
    assert re.search(r"uploaded 1 file, 268\.4 MB in .+, \d+\.\d MB from an earlier run", last.screen)
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", None)])
def test_upload_ended_by_a_signal_leaves_no_unfinished_multipart_upload(relay, bucket, admin, release, number):
    upload = Terminal("upload", bucket, str(release / "model.safetensors"), patient=True)
    upload.read_until(SOME_OF_THE_MODEL)
    upload.process.send_signal(number)
    assert upload.wait() == 128 + number
    assert "interrupted with 0 of 1 done" in upload.screen
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=bucket)


def test_upload_whose_terminal_closes_leaves_no_unfinished_multipart_upload(relay, bucket, admin, release):
    upload = Terminal("upload", bucket, str(release / "model.safetensors"), patient=True)
    upload.read_until(SOME_OF_THE_MODEL)
    os.close(upload.end)
    assert upload.process.wait() == 128 + signal.SIGHUP
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=bucket)


def test_second_ctrl_c_leaves_an_upload_whose_connection_is_dead_and_names_it(relay, bucket, release):
    upload = Terminal("upload", bucket, str(release / "model.safetensors"), patient=True)
    upload.read_until(SOME_OF_THE_MODEL)
    relay.flows.clear()
    upload.press_ctrl_c()
    upload.read_until("cdn-manager: waiting up to 600 s for uploads to save how far they have come, or ")
    upload.press_ctrl_c()
    assert upload.wait() == 130
    assert f"cdn-manager: {bucket}/model.safetensors: the upload had not ended: parts of it may remain" in upload.screen
    assert upload.screen.rstrip().endswith("what the store has is kept: run the command again to go on")


def test_ctrl_c_ends_a_download_whose_connection_is_dead(relay, bucket):
    relay.flows.clear()
    download = Terminal("download", bucket, "model.safetensors")
    download.read_until(r"model\.safetensors")
    download.press_ctrl_c()
    download.press_ctrl_c()
    assert download.wait() == 130
    assert "Traceback" not in download.screen
    assert "interrupted with 0 of 1 done" in download.screen


def test_failed_download_shows_the_answer_of_the_store(store, bucket):
    write_config(store.url)
    download = Terminal("download", bucket, "nothing")
    assert download.wait() == 1
    assert f"cdn-manager: {bucket}/nothing: the store answered 404 NoSuchKey" in download.screen


def test_check_passes_on_a_good_bucket_and_fails_on_a_missing_one(store, bucket):
    write_config(store.url)
    good = Terminal("check", bucket)
    assert good.wait() == 0
    assert "failed" not in good.screen
    missing = Terminal("check", "no-such-bucket")
    assert missing.wait() == 1
    assert re.search(r"^failed +bucket", missing.screen, re.MULTILINE)
