"""Tests by hundreds of cases that removing content harms no release, whatever is published meanwhile."""

import contextlib
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_releases import digest

from cdn_engine.download.listing import Entry
from cdn_release import FileEntry, Manifest, ReleaseBusyError, collection, unpublish
from cdn_release.repository import Repository

CONTENTS = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1, max_size=3)
NAMES = st.sampled_from(["v1", "v2", "v3"])


class Bucket:
    """A bucket in memory, in which others do something before each request of a removal.

    Args:
        schedule: How many steps the others make before each request, one after the other.
    """

    def __init__(self, schedule=()):
        self.objects = {}
        self.others = []
        self.schedule = list(schedule)

    def let_others_work(self):
        for _ in range(self.schedule.pop(0) if self.schedule else 0):
            self.others[:] = [other for other in self.others if next(other, "ended") != "ended"]
            self.check()

    def check(self):
        """Fail if a release lacks something."""
        for key, content in self.objects.items():
            if key.startswith("releases/"):
                manifest = Manifest.parse(content, key.removeprefix("releases/").removesuffix(".json"))
                assert {f"objects/{file.sha256}" for file in manifest.files} <= self.objects.keys(), key

    def publish(self, name, contents, looks=True):
        """Publish a release as `publish` does, one request a step; without a read key, it does not look."""
        files = [FileEntry(f"{index}", 1, digest(content), 0o644) for index, content in enumerate(contents)]
        self.objects[f"publishing/{name}"] = b""
        yield
        if not looks or "collecting" not in self.objects:
            yield
            for content in contents:
                if not looks or f"objects/{digest(content)}" not in self.objects:
                    yield
                    self.objects[f"objects/{digest(content)}"] = content
                yield
            self.objects.setdefault(f"releases/{name}.json", Manifest.of(name, files).encode())
            yield
        del self.objects[f"publishing/{name}"]

    def begin(self, name):
        """Begin to publish, and look for nothing."""
        self.objects[f"publishing/{name}"] = b""
        yield

    def repository(self, *_):
        """Return what stands for a `Repository` here."""
        return InMemory(self)


class InMemory(Repository):
    """A repository whose requests are answered by a ``Bucket``."""

    reader = None
    writer = SimpleNamespace(store=SimpleNamespace(url="http://store"))

    def __init__(self, bucket):
        super().__init__(SimpleNamespace(download_client=True), "bucket", "")
        self._in = bucket

    def get(self, key, most):
        self._in.let_others_work()
        if key not in self._in.objects:
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "GetObject")
        return self._in.objects[key]

    def put(self, key, content, overwrite=True):
        self._in.let_others_work()
        self._in.objects[key] = content

    def remove(self, key):
        self._in.let_others_work()
        self._in.objects.pop(key, None)
        self._in.check()

    def entries(self, prefix):
        self._in.let_others_work()
        yield from [Entry(key, 1, None, None) for key in sorted(self._in.objects) if key.startswith(prefix)]


def take_back(bucket, name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collection, "Repository", bucket.repository)
        patch.setattr(collection, "ASKED_AT_ONCE", 1)
        return unpublish(None, "bucket", name, collect=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, st.none() | CONTENTS), max_size=6))
def test_every_release_keeps_all_it_needs_and_nothing_else_is_left(steps):
    """After any sequence of publishes and removals."""
    bucket, there = Bucket(), {}
    for name, contents in [*steps, ("v4", None)]:
        if contents is None:
            assert take_back(bucket, name).found == (there.pop(name, None) is not None)
            needed = {digest(content) for contents in there.values() for content in contents}
            assert bucket.objects.keys() == {f"objects/{sha256}" for sha256 in needed} | {
                f"releases/{name}.json" for name in there
            }
        else:
            there.setdefault(name, contents)
            assert not list(filter(None, bucket.publish(name, contents)))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(NAMES, CONTENTS), min_size=1, max_size=3, unique_by=lambda release: release[0]),
    st.lists(st.tuples(NAMES, CONTENTS), min_size=1, max_size=3, unique_by=lambda release: release[0]),
    st.lists(st.integers(0, 4), max_size=20),
)
def test_no_release_lacks_anything_whatever_is_published_while_content_is_removed(before, meanwhile, schedule):
    bucket = Bucket(schedule)
    for name, contents in before:
        list(bucket.publish(name, contents))
    bucket.others = [bucket.publish(f"new-{name}", contents) for name, contents in meanwhile]
    try:
        take_back(bucket, before[0][0])
    except ReleaseBusyError:
        assert "collecting" not in bucket.objects
    for other in bucket.others:
        list(other)
    bucket.check()
    assert not {"collecting", *(f"publishing/{name}" for name, _ in meanwhile)} & bucket.objects.keys()


@pytest.mark.parametrize("request_before", range(8))
def test_publish_that_cannot_look_is_seen_if_it_begins_before_the_first_removal(request_before):
    """One without a read key."""
    bucket = Bucket([0] * request_before + [1])
    list(bucket.publish("v1", [b"a", b"b"]))
    before = dict(bucket.objects)
    bucket.others = [bucket.begin("v2")]
    with pytest.raises(ReleaseBusyError, match="'v2'"):
        take_back(bucket, "v1")
    assert bucket.objects == {**before, "publishing/v2": b""}


@pytest.mark.parametrize("request_before", range(9))
def test_publish_that_cannot_look_is_seen_if_it_has_ended_before_the_first_removal(request_before):
    """One without a read key, whose marker is gone when the removal looks for it."""
    bucket = Bucket([0] * request_before + [9])
    list(bucket.publish("v1", [b"a", b"b"]))
    bucket.others = [bucket.publish("v2", [b"a"], looks=False)]
    with contextlib.suppress(ReleaseBusyError):
        take_back(bucket, "v1")
    assert not bucket.others
    bucket.check()
