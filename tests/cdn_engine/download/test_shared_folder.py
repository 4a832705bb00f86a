"""Two users who download to one folder."""

import os
import shutil
import subprocess

import pytest
from downloads import start_child
from objects import PART, is_whole, payload_of, put, sha256_of, unfinished_files

from cdn_engine.download.partial import Partial
from cdn_engine.paths import Target

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as two users"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
]


@pytest.fixture
def shared(open_folder):
    """A folder that a group may write to."""
    os.chown(open_folder, 0, 3000)
    open_folder.chmod(0o2775)
    return open_folder


def as_user(number, umask="002"):
    """Return the start of a command that runs a program as a user of the group; it may read what root may."""
    capabilities = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
    bound = "--bounding-set=-all,+dac_read_search"
    user = ["setpriv", f"--reuid={number}", "--regid=3000", "--clear-groups", *capabilities, bound]
    return [*user, "sh", "-c", f'umask {umask}; exec "$@"', "sh"]


def test_second_user_waits_for_the_download_of_the_first(link, samples, shared):
    link.rate, link.link = None, PART
    first = start_child(link.url, samples, "with-digest", shared, before=as_user(2001))
    assert first.stdout.readline() == "flowing\n"
    second = start_child(link.url, samples, "with-digest", shared, before=as_user(2002), stderr=subprocess.PIPE)
    assert second.communicate()[1] == ""
    assert first.wait() == second.returncode == 0
    assert len([request for request in link.requests if request.method == "HEAD"]) == 1  # the file is the object's
    assert is_whole(shared / samples / "with-digest")


@pytest.mark.parametrize("umask", ["002", "022"], ids=["writable", "only readable"])
def test_second_user_takes_over_what_the_first_has_left(link, admin, bucket, shared, umask):
    digest = put(admin, bucket, "object", payload_of(24 * PART))
    link.rate, link.link = None, 2 * PART
    (shared / bucket).mkdir()
    os.chown(shared / bucket, 2001, 3000)
    (shared / bucket).chmod(0o2775)
    first = start_child(link.url, bucket, "object", shared, before=as_user(2001, umask))
    while not list((shared / bucket).glob("*.journal")):
        assert first.poll() is None
    first.kill()
    first.communicate()
    link.link, sent = None, link.bytes_sent
    second = start_child(link.url, bucket, "object", shared, before=as_user(2002, umask), stderr=subprocess.PIPE)
    assert second.communicate()[1] == ""
    assert link.bytes_sent - sent < 24 * PART
    assert sha256_of(shared / bucket / "object") == digest
    assert unfinished_files(shared) == []


def test_second_user_starts_over_where_nothing_can_be_read(link, admin, bucket, shared):
    """The first one's umask kept its files private."""
    digest = put(admin, bucket, "object", payload_of(2 * PART))
    (shared / bucket).mkdir()
    os.chown(shared / bucket, 2001, 3000)
    (shared / bucket).chmod(0o2775)
    stem = os.path.basename(Partial(Target.of("object")).path).removesuffix(".part")
    for kind in ("part", "journal", "journal.new"):
        with (shared / bucket / f"{stem}.{kind}").open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            os.fchown(file.fileno(), 2001, 3000)
    plain = ["setpriv", "--reuid=2002", "--regid=3000", "--clear-groups"]
    second = start_child(link.url, bucket, "object", shared, before=plain, stderr=subprocess.PIPE)
    assert second.communicate()[1] == ""
    assert sha256_of(shared / bucket / "object") == digest
