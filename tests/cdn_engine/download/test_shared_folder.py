"""Two users who download to one folder."""

import os
import subprocess
from pathlib import Path

import pytest
from downloads import start_child
from objects import PART, is_whole, payload_of, put, sha256_of, unfinished_files

from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as two users"
)


def make_group_folder(path):
    """Make a folder that the group may write to."""
    path.mkdir(exist_ok=True)
    os.chown(path, 0, 3000)
    path.chmod(0o2775)


@pytest.fixture
def shared(open_folder):
    make_group_folder(open_folder)
    return open_folder


def start(user, link, bucket, key, folder, umask="002"):
    """Start a download as a user of the group."""
    before = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
    return start_child(link.url, bucket, key, folder, f"--user={user}", before=before, stderr=subprocess.PIPE)


def test_second_user_waits_for_the_download_of_the_first(link, samples, shared):
    link.rate, link.link = None, PART
    first = start(2001, link, samples, "with-digest", shared)
    assert first.stdout.readline() == "flowing\n"
    second = start(2002, link, samples, "with-digest", shared)
    assert second.communicate()[1] == ""
    assert first.wait() == second.returncode == 0
    assert len([request for request in link.requests if request.method == "HEAD"]) == 1  # the file is the object's
    assert is_whole(shared / samples / "with-digest")


@pytest.mark.parametrize("umask", ["002", "022"], ids=["writable", "only readable"])
def test_second_user_takes_over_what_the_first_has_left(link, admin, bucket, shared, umask):
    digest = put(admin, bucket, "object", payload_of(24 * PART))
    link.rate, link.link = None, 2 * PART
    make_group_folder(shared / bucket)
    first = start(2001, link, bucket, "object", shared, umask)
    while not list((shared / bucket).glob("*.journal")):
        assert first.poll() is None
    first.kill()
    first.communicate()
    link.link, sent = None, link.bytes_sent
    second = start(2002, link, bucket, "object", shared, umask)
    assert second.communicate()[1] == ""
    assert link.bytes_sent - sent < 24 * PART
    assert sha256_of(shared / bucket / "object") == digest
    assert unfinished_files(shared) == []


def test_private_lock_of_another_user_is_named(link, samples, shared):
    """Whether that user's download is still running cannot be known."""
    lock = Path(Partial(Target.of(shared / samples / "with-digest")).lock_path)
    make_group_folder(lock.parent)
    lock.touch(0o600)
    os.chown(lock, 2001, 3000)
    second = start(2002, link, samples, "with-digest", shared)
    assert f"or remove the file: {str(lock)!r}" in second.communicate()[1]
    assert link.requests == []


def test_second_user_starts_over_where_nothing_can_be_read(link, admin, bucket, shared):
    """The first one's umask kept its files private."""
    digest = put(admin, bucket, "object", payload_of(2 * PART))
    make_group_folder(shared / bucket)
    stem = os.path.basename(Partial(Target.of("object")).path).removesuffix(".part")
    for kind in ("part", "journal", "journal.new"):
        with (shared / bucket / f"{stem}.{kind}").open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            os.fchown(file.fileno(), 2001, 3000)
    second = start(2002, link, bucket, "object", shared)
    assert second.communicate()[1] == ""
    assert sha256_of(shared / bucket / "object") == digest
